"""How kernel.damping, features.draw_scheme and attribution.train_draws were chosen: LDS on held-out targets.

Needs a finished run of experiments/digits-lds.yaml, whose subset models it asks about targets that no
configuration names (seeds 100-111). Prints the LDS, averaged over targets and steps, by draw scheme, number of
draws, damping and number of checkpoints. About 20 minutes on one core.

    python benchmarks/damping.py [STORE/EXPERIMENT]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

import numpy as np
import torch

from waypoint.science import algorithm1
from waypoint.science.draws import target_noise, train_draws
from waypoint.science.evaluation import lds
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.examples import Example
from waypoint.science.processes.ddpm import trajectory
from waypoint.science.projection import Gaussian
from waypoint.science.random_streams import torch_stream
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.reader import open_store
from waypoint.workflow.plan.specs import settings_of

SEEDS, STEPS, DRAWS = range(100, 112), (100, 300, 500, 700, 900), 20
SCHEMES = [("independent", 20), ("stratified", 20), ("stratified", 60)]
DAMPINGS = (0, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1, 10, 100)


def main(root="results/digits-lds"):
    images = torch.from_numpy(open_store(f"{root}/data/train.zarr")["image"][:])
    subsets = open_store(f"{root}/evaluation/subsets.zarr")["included"][:]
    folders = sorted(Path(root, "checkpoints/full").iterdir())
    dim = settings_of(read_attributes(f"{root}/features/plain/full/0.zarr")["spec"])["projection"]["dim"]
    thetas = {f"full/{folder.name}": checkpoints.load(folder) for folder in folders}
    estimates = {seed: one_step_estimates(thetas["full/0"], seed) for seed in SEEDS}
    outputs = subset_outputs(root, len(subsets), estimates)
    projections = {name: Gaussian(0, name, dim) for name in thetas}
    g = {name: target_gradients(theta, projections[name], estimates) for name, theta in thetas.items()}
    print(f"{len(subsets)} subsets, {len(SEEDS)} held-out targets, {len(thetas)} checkpoints, d = {dim}")
    for scheme, draws in SCHEMES:
        phi = {name: features(theta, projections[name], images, name, scheme, draws) for name, theta in thetas.items()}
        for damping in DAMPINGS:
            if damping == 0 and len(images) < dim:
                continue  # singular
            tau = np.array([algorithm1.attribution(phi[name], g[name], damping) for name in thetas])
            for count in {1, len(tau)}:
                score = tau[:count].mean(0).reshape(len(SEEDS), len(STEPS), -1)
                found = lds.lds(lds.predictions(subsets, score), outputs)
                steps = " ".join(f"{value:+.3f}" for value in found.mean(0))
                mean, error = lds.mean_over_targets(found.mean(1))
                settings = f"{scheme:11} draws={draws} damping={damping:<5g} checkpoints={count}"
                print(f"{settings} LDS {mean:.3f} ± {error:.3f}  by step {steps}", flush=True)


def one_step_estimates(theta, seed):
    """x̂0_t of the generating model at STEPS: (steps, C, H, W)."""
    stream = torch_stream(0, "trajectory", seed)
    grid, _, x0_hat, _ = trajectory(theta, 50, torch.randn(1, 1, 8, 8, generator=stream), stream)
    return x0_hat[[grid.tolist().index(t) for t in STEPS]]


def example(x0_hat, t, key):
    """x̂0_t at step t with its noises."""
    epsilon = torch.stack([target_noise(0, key, "full/0", t, k, x0_hat.shape) for k in range(DRAWS)])
    return Example(x0_hat.expand(epsilon.shape), torch.full((DRAWS,), t), epsilon)


@torch.no_grad()
def subset_outputs(root, subsets, estimates):
    """−f_t of every subset model: (targets, steps, subsets, models)."""
    per_subset = len(list(Path(root, "checkpoints/subset").glob("0-*")))
    found = np.empty((len(estimates), len(STEPS), subsets, per_subset))
    for j in range(subsets):
        for r in range(per_subset):
            theta = checkpoints.load(f"{root}/checkpoints/subset/{j}-{r}")
            for k, x0_hat in enumerate(estimates.values()):
                for s, t in enumerate(STEPS):
                    # noises of their own: those of g_t would flatter the scores
                    found[k, s, j, r] = -algorithm1.output_function(theta, example(x0_hat[s], t, "outputs")).mean()
    return found


def target_gradients(theta, P, estimates):
    """g_t of all held-out targets: (targets × steps, d)."""
    examples = [example(x[s], t, f"held out {k}") for k, x in estimates.items() for s, t in enumerate(STEPS)]
    return algorithm1.target_gradients(theta, P, examples, PerExampleGradients(theta.unet)).numpy()


def features(theta, P, images, name, scheme, K):
    """Train features of all images."""
    rows = []
    for start in range(0, len(images), 100):
        examples = []
        for i in range(start, min(start + 100, len(images))):
            t, epsilon = train_draws(0, name, i, scheme, K, theta.T, images.shape[1:])
            examples.append(Example(images[i].expand(epsilon.shape), t, epsilon))
        rows.append(algorithm1.train_features(theta, P, examples, PerExampleGradients(theta.unet)).numpy())
    return np.concatenate(rows)


if __name__ == "__main__":
    main(*sys.argv[1:2])
