"""How the defaults kernel.damping and features.draw_scheme were chosen: LDS on held-out targets.

Needs a finished default run. Trains models on random halves of its images, attributes targets whose seeds
(100-111) appear in no config, and prints, per draw scheme and damping, the mean Spearman correlation between
the summed scores of each half and -f_t of the model trained on it. About 45 minutes on one core.

    python benchmarks/damping.py [STORE/EXPERIMENT] [HALVES]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

import numpy as np
import torch
from scipy.stats import spearmanr

from waypoint.science import algorithm1
from waypoint.science.diffusion import trajectory
from waypoint.science.draws import target_noise, train_draws
from waypoint.science.gradients import Example, per_example_gradients, trainable
from waypoint.science.kernel import factor, gram, scores
from waypoint.science.projection import GaussianProjection
from waypoint.science.streams import numpy_stream, torch_stream
from waypoint.science.training import Trainer
from waypoint.store import models
from waypoint.store.arrays import open_store
from waypoint.store.provenance import read_attributes

SEEDS, STEPS, DIM, DRAWS = range(100, 112), (100, 300, 500, 700, 900), 512, 20
SCHEMES, DAMPINGS = ("independent", "stratified"), (0, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1, 3, 10, 100)


def main(root="results/digits", halves=64):
    images = torch.from_numpy(open_store(f"{root}/data/train.zarr")["image"][:])
    folders = sorted(Path(root, "checkpoints/full").iterdir())
    spec = read_attributes(folders[0])["spec"]
    thetas = {f"full/{folder.name}": models.load(folder) for folder in folders}
    estimates = {seed: one_step_estimates(thetas["full/0"], seed) for seed in SEEDS}
    masks, outputs = retrain(images, spec, estimates, halves)
    for scheme in SCHEMES:
        phi, g = {}, {}
        for name, theta in thetas.items():
            P = GaussianProjection(0, name, sum(q.numel() for q in trainable(theta.unet)), DIM)
            phi[name] = np.concatenate(
                [features(theta, P, images, name, rows, scheme) for rows in batches(len(images))]
            )
            for seed, x0_hat in estimates.items():
                examples = [example(x0_hat[s], t, f"held out {seed}") for s, t in enumerate(STEPS)]
                g[name, seed] = algorithm1.target_gradients(theta, P, examples, per_example_gradients).numpy()
        for damping in DAMPINGS:
            each = [correlations(phi, g, seed, damping, masks, outputs[:, k]) for k, seed in enumerate(SEEDS)]
            found = np.mean(each, axis=0)
            print(f"{scheme} damping={damping} LDS by step {found.round(3)} mean {found.mean():.3f}", flush=True)


def one_step_estimates(theta, seed):
    """x̂0_t of the generating model at STEPS: (steps, C, H, W)."""
    stream = torch_stream(0, "trajectory", seed)
    grid, _, x0_hat, _ = trajectory(theta, 50, torch.randn(1, 1, 8, 8, generator=stream), stream)
    return x0_hat[[grid.tolist().index(t) for t in STEPS]]


def example(x0_hat, t, key):
    """x̂0_t at step t with its noises."""
    epsilon = torch.stack([target_noise(0, key, t, k, x0_hat.shape) for k in range(DRAWS)])
    return Example(x0_hat.expand(epsilon.shape), torch.full((DRAWS,), t), epsilon)


def retrain(images, spec, estimates, halves):
    """Masks (halves, N) and -f_t (halves, targets, steps) of a model trained on each half."""
    masks, outputs = np.zeros((halves, len(images))), np.zeros((halves, len(estimates), len(STEPS)))
    for j in range(halves):
        rows = np.sort(numpy_stream(0, "held-out halves", j).permutation(len(images))[: len(images) // 2])
        masks[j, rows] = 1
        theta = models.build(spec["model"], 0, f"subset/{j}")
        trainer = Trainer(theta, images[rows], None, spec["training"], 0, f"subset/{j}")
        while not trainer.finished:
            trainer.run_epoch()
        trainer.final_weights().eval()
        with torch.no_grad():
            for k, x0_hat in enumerate(estimates.values()):
                for s, t in enumerate(STEPS):
                    # noises of their own: those of g_t would flatter the scores
                    outputs[j, k, s] = -algorithm1.output_function(theta, example(x0_hat[s], t, "outputs")).item()
        print(f"half {j + 1}/{halves}", file=sys.stderr, flush=True)
    return masks, outputs


def batches(n):
    """Ranges of 200 rows."""
    return [range(start, min(start + 200, n)) for start in range(0, n, 200)]


def features(theta, P, images, name, rows, scheme):
    """Train features of some rows."""
    examples = []
    for i in rows:
        t, epsilon = train_draws(0, name, i, scheme, DRAWS, theta.T, images.shape[1:])
        examples.append(Example(images[i].expand(epsilon.shape), t, epsilon))
    return algorithm1.train_features(theta, P, examples, per_example_gradients).numpy()


def correlations(phi, g, seed, damping, masks, outputs):
    """Spearman per step between summed scores of the halves and the outputs (halves, steps)."""
    total = 0
    for name, rows in phi.items():
        blocks = lambda rows=rows: iter([(0, rows)])  # noqa: E731
        lower, _ = factor(gram(blocks, *rows.shape), *rows.shape, damping)
        total = total + scores(blocks, *rows.shape, lower, g[name, seed])
    return [spearmanr(masks @ total[s], outputs[:, s])[0] for s in range(len(STEPS))]


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
