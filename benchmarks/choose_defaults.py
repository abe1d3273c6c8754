"""How the settings of the methods with a Fisher matrix were chosen: LDS on held-out targets and subsets of their own.

Reads finished outputs of experiments/choose-digits.yaml and experiments/choose-digits-short.yaml, and nothing else:
their targets are seeds 100 to 111, their models and subsets are drawn from seeds of their own, and no reported
experiment shares any of them. Prints a Markdown section for each. About a quarter of an hour each, on one core.

    snakemake --configfile experiments/choose-digits.yaml --cores 2 -- lds     (and choose-digits-short.yaml)
    OMP_NUM_THREADS=1 python benchmarks/choose_defaults.py results/choose-digits results/choose-digits-short
"""

import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

import numpy as np
import torch
from measuring import table

from waypoint.science import algorithm1, fisher, fisher_kernel, kernel, wiener
from waypoint.science.curvature import Eigenvalues, Factors, factored_matrices
from waypoint.science.draws import target_noise, train_draws
from waypoint.science.evaluation import lds
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.examples import Example
from waypoint.science.projection import SJLT, Identity
from waypoint.store.artifacts.provenance import Provenance, read_attributes
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.reader import open_store, read
from waypoint.workflow.plan.specs import settings_of

SCHEMES, TRAIN_DRAWS, TARGET_DRAWS = ("stratified", "shared"), 20, 100
CURVATURE_ROWS, KERNEL_ROWS, BOUND, DIM = 512, 2048, 2304, 4096
DIMS = (1024, 4096, 16384, None)  # of ekfac; None: no projection
CHOSEN = 1e-3  # the damping of the curvature at which dimensions and kernels are compared
DAMPINGS = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of the curvature
KERNEL_DAMPINGS = {"fisher": (0.03, 0.1, 0.3, 1.0, 3.0), "ekfac": (1.0, 3.0, 10.0, 30.0, 100.0)}
BATCH = 64


def main(roots):
    torch.set_num_threads(1)
    made = Provenance("choose_defaults", {}, "")()
    print(f"`benchmarks/choose_defaults.py` at commit {made['commit']}, torch {made['packages']['torch']}.\n")
    for root in roots:
        print(section(Experiment(root)), flush=True)


class Experiment:
    """Models, targets, subsets and outputs of one experiment, and gradients as they are before any map."""

    def __init__(self, root):
        self.root = Path(root)
        self.images = torch.from_numpy(read(open_store(self.root / "data/train.zarr")["image"]))
        self.subsets = read(open_store(self.root / "evaluation/subsets.zarr")["included"])
        folders = sorted((self.root / "checkpoints/full").iterdir())
        self.thetas = {f"full/{folder.name}": checkpoints.load(folder) for folder in folders}
        self.recipe = settings_of(read_attributes(folders[0])["spec"])
        self.seed = self.recipe["seed"]
        outputs = {path.stem: open_store(path) for path in sorted((self.root / "evaluation/outputs").glob("*.zarr"))}
        self.names = list(outputs)
        self.steps = read(next(iter(outputs.values()))["step"]).tolist()
        self.outputs = np.stack([read(store["output"]).transpose(2, 0, 1) for store in outputs.values()]).astype(float)
        paths = [open_store(self.root / f"targets/{name}/trajectory.zarr") for name in self.names]
        at = [read(paths[0]["step"]).tolist().index(t) for t in self.steps]
        self.x0_hat = torch.from_numpy(np.stack([read(path["x0_hat"])[at] for path in paths]))
        self.final = torch.from_numpy(np.stack([read(path["image"]) for path in paths]))

    def lds(self, scores):
        """LDS (target, step) of scores (target × step, N)."""
        shaped = scores.reshape(*self.outputs.shape[:2], -1)
        return lds.lds(lds.predictions(self.subsets, shaped), self.outputs)

    def gradients_of(self, name, theta, loss, examples):
        """Gradients (n, p) as they are, of examples that are made when they are wanted."""
        grad, rows = PerExampleGradients(theta.unet), []
        for start in range(0, len(examples), BATCH):
            rows.append(grad(loss, [make() for make in examples[start : start + BATCH]]))
        return torch.cat(rows)

    def features(self, name, theta, scheme):
        """Of every training image, (N, p)."""

        def example(i):
            t, epsilon = train_draws(self.seed, name, i, scheme, TRAIN_DRAWS, theta.T, self.images.shape[1:])
            return Example(self.images[i].expand(epsilon.shape), t, epsilon)

        every = [partial(example, i) for i in range(len(self.images))]
        return self.gradients_of(name, theta, partial(algorithm1.train_loss, theta), every)

    def targets(self, name, theta):
        """Of every target and step around the generating model's x̂0_t, (target × step, p)."""

        def example(k, s):
            key, shape = (self.seed, self.names[k], name, self.steps[s]), self.images.shape[1:]
            epsilon = torch.stack([target_noise(*key, j, shape) for j in range(TARGET_DRAWS)])
            t = torch.full((TARGET_DRAWS,), self.steps[s])
            return Example(self.x0_hat[k, s].expand(epsilon.shape), t, epsilon)

        every = [partial(example, k, s) for k in range(len(self.names)) for s in range(len(self.steps))]
        return self.gradients_of(name, theta, partial(algorithm1.output_function, theta), every)

    def rows(self, name, theta, purpose, count):
        """Fisher rows, (count, p)."""
        key, P = (self.seed, purpose, name), Identity(sum(q.numel() for q in theta.unet.parameters()))
        images, steps = fisher.row_images(*key, count, len(self.images)), fisher.row_steps(*key, count, theta.T)
        grad, found = PerExampleGradients(theta.unet), []
        for start in range(0, count, BATCH):
            examples = []
            for r in range(start, min(start + BATCH, count)):
                epsilon, v = (noise[None] for noise in fisher.row_noise(*key, r, self.images.shape[1:]))
                examples.append(Example(self.images[[images[r]]], torch.tensor([steps[r]]), epsilon, v=v))
            found.append(fisher.fisher_rows(theta, P, examples, grad))
        return torch.cat(found)


def section(experiment):
    """One experiment's part of the page."""
    began, sums = time.perf_counter(), {}

    def add(variant, scores):
        sums[variant] = sums.get(variant, 0) + scores

    likelihood = {damping: [] for damping in DAMPINGS}
    for name, theta in experiment.thetas.items():
        report(began, f"{experiment.root.name} {name}")
        phi = {scheme: experiment.features(name, theta, scheme) for scheme in SCHEMES}
        g, u = experiment.targets(name, theta), experiment.rows(name, theta, fisher.KERNEL, KERNEL_ROWS)
        P = SJLT(experiment.seed, name, DIM)
        report(began, "gradients")
        for scheme in SCHEMES:
            plain = [P.project(rows).numpy() for rows in (phi[scheme], g)]
            add(("trak", scheme, 0.1), algorithm1.attribution(*plain, 0.1))
            for delta, tau in with_fisher(*plain, P.project(u).numpy(), KERNEL_DAMPINGS["fisher"]):
                add(("fisher", scheme, delta), tau)
        curvature = curvature_of(experiment, name, theta)
        report(began, "curvature")
        for damping in DAMPINGS:
            W = curvature.whitening(damping)
            likelihood[damping].append(negative_log_likelihood(curvature, damping, u))
            g_white = W.whiten(g)
            for scheme in SCHEMES:
                add(("ekfac, no kernel", scheme, damping), (g_white @ W.whiten(phi[scheme]).T).numpy())
            report(began, f"damping {damping:g}")
        whitened = [curvature.whitening(CHOSEN).whiten_(rows) for rows in (phi["shared"], g, u)]
        for dim in DIMS:
            P = SJLT(experiment.seed, name, dim) if dim else Identity(u.shape[1])
            projected = [P.project(rows).numpy() for rows in whitened]
            for delta, tau in with_fisher(*projected, KERNEL_DAMPINGS["ekfac"]):
                add(("ekfac", dim, delta), tau)
            add(("ekfac", dim, "none"), projected[1] @ projected[0].T)
            report(began, f"d = {dim}")
    found = {variant: experiment.lds(scores) for variant, scores in sums.items()}
    add_controls(experiment, found)
    report(began, "done")
    return page(experiment, found, likelihood, time.perf_counter() - began)


def curvature_of(experiment, name, theta):
    """The curvature as the workflow makes it."""
    shapes = {key: q.shape for key, q in theta.unet.named_parameters()}
    matrices = factored_matrices(shapes, CURVATURE_ROWS, BOUND)
    factors = Factors(matrices)
    factors.add(experiment.rows(name, theta, fisher.EIGENVECTORS, CURVATURE_ROWS))
    eigenvalues = Eigenvalues(matrices, factors.eigenvectors())
    eigenvalues.add(experiment.rows(name, theta, fisher.EIGENVALUES, CURVATURE_ROWS))
    return eigenvalues.curvature()


def negative_log_likelihood(curvature, damping, rows):
    """Of fresh Fisher rows under N(0, QΛQᵀ + λI), in nats per parameter, up to a constant: small is good."""
    strength = curvature.strength(damping)
    norms = curvature.whitening(damping).whiten(rows).double().square().mean().item()
    logs = torch.cat([(value.double() + strength).log().flatten() for value in curvature.values.values()])
    return 0.5 * (norms + logs.mean().item())


def with_fisher(phi, g, u, dampings):
    """Scores for every damping of the kernel of Fisher rows."""
    blocks, matrix = kernel.one_block(u), fisher_kernel.gram(kernel.one_block(u), *u.shape)
    for damping in dampings:
        lower, strength = fisher_kernel.factor(matrix, *u.shape, damping)
        solved = fisher_kernel.solve(blocks, *u.shape, kernel.one_block(lower), strength, g)
        yield damping, kernel.gathered(fisher_kernel.scores(kernel.one_block(phi), solved))


def add_controls(experiment, found):
    """Pixel cosine and the Gaussian denoiser, which have no settings."""
    z, final = experiment.images.flatten(1), experiment.final.flatten(1)
    cosine = torch.nn.functional.normalize(final) @ torch.nn.functional.normalize(z).T
    found["pixel",] = experiment.lds(cosine[:, None].expand(-1, len(experiment.steps), -1).numpy())
    theta = next(iter(experiment.thetas.values()))
    images = kernel.one_block(experiment.images.numpy())
    gaussian, alpha_bars = wiener.fit(images), theta.scheduler.alphas_cumprod.double().numpy()[experiment.steps]
    asked = experiment.x0_hat.numpy()
    scores = [kernel.gathered(wiener.scores(gaussian, images, x0_hat, alpha_bars)) for x0_hat in asked]
    found["wiener",] = experiment.lds(np.array(scores))


def page(experiment, found, likelihood, seconds):
    """The tables of one experiment."""
    training, cell = experiment.recipe["training"], lambda variant: summary(found[variant])
    steps = training["epochs"] * -(-len(experiment.images) // training["batch_size"])
    head = (
        f"### {experiment.root.name}\n\n{len(experiment.images)} digits, {training['epochs']} epochs ({steps:,} steps) "
        f"at a learning rate of {training['learning_rate']:g}; {count(experiment.thetas, 'model')}, "
        f"{len(experiment.subsets)} subsets with {experiment.outputs.shape[-1]} model each, {len(experiment.names)} "
        f"held-out targets at steps {', '.join(map(str, experiment.steps))}; {TRAIN_DRAWS} train draws, "
        f"{TARGET_DRAWS} target draws, d = {DIM}, {KERNEL_ROWS} Fisher rows. LDS, mean ± standard error over targets; "
        f"nats: negative log-likelihood of fresh Fisher rows, per parameter. {seconds / 60:.0f} minutes.\n"
    )
    controls = table(
        ["pixel", "wiener", *(f"trak, {scheme}" for scheme in SCHEMES)],
        [[cell(("pixel",)), cell(("wiener",)), *(cell(("trak", scheme, 0.1)) for scheme in SCHEMES)]],
    )
    plain = table(
        ["fisher, δ", *(f"{delta:g}" for delta in KERNEL_DAMPINGS["fisher"])],
        [[scheme, *(cell(("fisher", scheme, delta)) for delta in KERNEL_DAMPINGS["fisher"])] for scheme in SCHEMES],
    )
    rows = []
    for damping in DAMPINGS:
        bare = [cell(("ekfac, no kernel", scheme, damping)) for scheme in SCHEMES]
        rows.append([f"{damping:g}", *bare, f"{np.mean(likelihood[damping]):.3f}"])
    names = [f"{scheme} draws" for scheme in SCHEMES]
    whitened = table(["ekfac without projection and kernel, curvature.damping", *names, "nats"], rows)
    deltas = [*KERNEL_DAMPINGS["ekfac"], "none"]
    rows = [[dim or "no projection", *(cell(("ekfac", dim, delta)) for delta in deltas)] for dim in DIMS]
    heads = [*(f"δ = {delta:g}" for delta in KERNEL_DAMPINGS["ekfac"]), "no kernel"]
    kernels = table([f"ekfac, shared draws, curvature.damping {CHOSEN:g}: d", *heads], rows)
    return "\n".join([head, controls, plain, whitened, kernels])


def count(things, name):
    """How many there are, in words."""
    return f"{len(things)} {name}{'s' if len(things) > 1 else ''}"


def summary(each):
    """Mean ± standard error over targets of LDS (target, step)."""
    mean, error = lds.mean_over_targets(each.mean(1))
    return f"{mean:.3f} ± {error:.3f}"


def report(began, what):
    print(f"{time.perf_counter() - began:6.0f} s  {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
