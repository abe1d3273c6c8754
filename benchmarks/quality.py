"""How engine, projection, storage, dimension and draw scheme change the LDS: a Markdown section on standard output.

Needs a finished run of experiments/digits-lds.yaml. Its subset models are asked about two sets of targets: held-out
ones (seeds 100-111, which no configuration names; defaults are chosen on them) and the experiment's own, whose
outputs lie in the store. About 15 minutes on one core; what the subset models say of the held-out targets is kept in
CACHE.

    OMP_NUM_THREADS=1 python benchmarks/quality.py [STORE/EXPERIMENT] [--cache CACHE]
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

import numpy as np
import torch
from measuring import table

from waypoint.science import algorithm1
from waypoint.science.draws import target_noise, train_draws
from waypoint.science.evaluation import lds
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.examples import Example
from waypoint.science.gradients.logra import LoGra
from waypoint.science.processes.ddpm import generate
from waypoint.science.projection import PROJECTIONS
from waypoint.science.random_streams import derive, torch_stream
from waypoint.store.artifacts.provenance import Provenance, read_attributes
from waypoint.store.networks import checkpoints
from waypoint.store.zarr import quantised
from waypoint.store.zarr.reader import open_store
from waypoint.store.zarr.writer import create_store

HELD_OUT, HELD_OUT_STEPS, SAMPLING_STEPS = range(100, 112), (100, 300, 500, 700, 900), 50
DRAWS, DAMPING, BATCH = 20, 0.03, 256
RANKS = (None, 16, 12)  # None: exact gradients
STORAGES = tuple(quantised.LARGEST)
DIM, DIMS = 1024, (256, 512, 1024, 2048, 4096, 8192)
SEEDS = (0, 1, 2)  # of P and of the random factors; the draws' is 0
SCHEME, SCHEMES = "stratified", ("independent", "stratified", "shared")
UNPROJECTED = ("none", None, "float32", SCHEME)
REFERENCE = ("exact", "gaussian", DIM, "float32", SCHEME)
attribution = partial(algorithm1.attribution, damping=DAMPING)  # scores of one checkpoint: (targets × steps, N)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("store", nargs="?", default="results/digits-lds")
    parser.add_argument("--cache", type=Path, default="results/quality")
    args = parser.parse_args()
    torch.set_num_threads(1)
    made = Provenance("quality", {}, "")()
    images = torch.from_numpy(open_store(f"{args.store}/data/train.zarr")["image"][:])
    subsets = open_store(f"{args.store}/evaluation/subsets.zarr")["included"][:]
    names = [f"full/{folder.name}" for folder in sorted(Path(args.store, "checkpoints/full").iterdir())]
    sets = {"held-out": held_out(args.store, args.cache, len(subsets)), "reported": reported(args.store)}
    found, seconds = total_scores(args.store, names, images, list(sets.values()))
    values = {variant: lds_by_target(tau / len(names), sets, subsets) for variant, tau in found.items()}
    keep(values, args.cache / "lds.npz")
    parts = [
        header(made, subsets, names, sets),
        by_storage(values, seconds, storage_changes(found)),
        by_dimension(values),
        by_scheme(values),
    ]
    print("\n\n".join(parts))


@dataclass
class Targets:
    """Targets of one set, all at the same steps.

    names: keys of g's noises. x_t, x0_hat: (K, S, C, H, W), x0_hat the generating model's. outputs: (K, S, J, R).
    """

    names: list
    steps: tuple
    x_t: torch.Tensor
    x0_hat: torch.Tensor
    outputs: np.ndarray = None


def held_out(root, cache, subsets):
    """The held-out targets, sampled from the generating model."""
    theta = checkpoints.load(f"{root}/checkpoints/full/0")
    paths = [generate(theta, SAMPLING_STEPS, torch_stream(0, "trajectory", seed)) for seed in HELD_OUT]
    at = [paths[0][0].tolist().index(t) for t in HELD_OUT_STEPS]
    x_t, x0_hat = (torch.stack([path[part][at] for path in paths]) for part in (1, 2))
    targets = Targets([f"held out {k}" for k in range(len(paths))], HELD_OUT_STEPS, x_t, x0_hat)
    targets.outputs = cached_outputs(root, cache, subsets, targets)
    return targets


def reported(root):
    """The experiment's targets, with the outputs that the run itself computed."""
    names = sorted(folder.name for folder in Path(root, "targets").iterdir())
    outputs = [open_store(f"{root}/evaluation/outputs/{name}.zarr") for name in names]
    paths = [open_store(f"{root}/targets/{name}/trajectory.zarr") for name in names]
    steps = outputs[0]["step"][:].tolist()
    at = [paths[0]["step"][:].tolist().index(t) for t in steps]
    x_t, x0_hat = (torch.from_numpy(np.stack([path[part][:][at] for path in paths])) for part in ("x_t", "x0_hat"))
    values = np.stack([store["output"][:].transpose(2, 0, 1) for store in outputs])
    return Targets(names, tuple(steps), x_t, x0_hat, values.astype(np.float64))


def cached_outputs(root, cache, subsets, targets):
    """``subset_outputs``, computed once for one set of models and targets."""
    folders = sorted(Path(root, "checkpoints/subset").glob("*-*"))
    weights = [read_attributes(folder)["weights"] for folder in folders]
    file = Path(cache, f"outputs-{derive(*weights, *HELD_OUT, *HELD_OUT_STEPS, DRAWS):x}.npz")
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, outputs=subset_outputs(root, subsets, len(folders) // subsets, targets))
    return np.load(file)["outputs"]


@torch.inference_mode()
def subset_outputs(root, subsets, per_subset, targets):
    """−f_t of every subset model around the generating model's x̂0_t: (K, S, J, R)."""
    # noises of their own: those of g_t would flatter the scores
    asked = [example(x[s], t, "outputs") for x in targets.x0_hat for s, t in enumerate(targets.steps)]
    x0_hat, t, epsilon = (torch.cat([getattr(x, part) for x in asked]) for part in ("x0", "t", "epsilon"))
    found = np.empty((len(asked), subsets, per_subset))
    for j in range(subsets):
        for r in range(per_subset):
            theta = checkpoints.load(f"{root}/checkpoints/subset/{j}-{r}")
            parts = zip(x0_hat.split(BATCH), t.split(BATCH), epsilon.split(BATCH))
            losses = torch.cat([theta.noise_loss(*part) for part in parts])
            found[:, j, r] = -losses.view(-1, DRAWS).mean(1).numpy()
        if (j + 1) % 16 == 0:
            report(f"outputs of held-out targets: subset {j + 1} of {subsets}")
    return found.reshape(*targets.x0_hat.shape[:2], subsets, per_subset)


def example(x0_hat, t, key):
    """x̂0_t at step t with its noises."""
    epsilon = torch.stack([target_noise(0, key, "full/0", t, k, x0_hat.shape) for k in range(DRAWS)])
    return Example(x0_hat.expand(epsilon.shape), torch.full((DRAWS,), t), epsilon)


def target_examples(theta, targets):
    """This checkpoint's own x̂0_t of every target and step, around which f_t is taken (Alg. 1 line 11)."""
    for name, states in zip(targets.names, targets.x_t):
        for t, x_t in zip(targets.steps, states):
            yield example(algorithm1.one_step_estimate(theta, x_t, t, None, "scheduler"), t, name)


def train_examples(theta, name, images, scheme):
    """Every training image with its draws."""
    for i, image in enumerate(images):
        t, epsilon = train_draws(0, name, i, scheme, DRAWS, theta.T, image.shape)
        yield Example(image.expand(epsilon.shape), t, epsilon)


def total_scores(root, names, images, sets):
    """Scores of all targets summed over checkpoints, and what was timed.

    Returns:
        {(engine, projection, d, storage, scheme, seed): (targets × steps of all sets, N)}, and
        {(engine,) or (engine, projection): seconds of each measurement} for all images.
    """
    found, seconds = defaultdict(float), defaultdict(list)
    for name in names:
        theta = checkpoints.load(f"{root}/checkpoints/{name}")
        target = [e for targets in sets for e in target_examples(theta, targets)]
        for part in (engines_scores, schemes_scores):
            for variant, tau in part(theta, name, images, target, seconds):
                found[variant] = found[variant] + tau
            report(f"checkpoint {name}: {part.__name__}")
    return found, seconds


def engines_scores(theta, name, images, target, seconds):
    """Every engine with every projection; yields (variant, scores)."""
    train = list(train_examples(theta, name, images, SCHEME))
    for rank in RANKS:
        engine = engine_name(rank)
        for seed in SEEDS:
            if rank or seed == SEEDS[0]:  # exact gradients have no seed
                rows = gradients(theta, grad_engine(theta, seed, name, rank), train, target, seconds[engine,])
                yield (engine, *UNPROJECTED, seed), attribution(*split(rows, len(train)))
            for kind in PROJECTIONS:
                for d in DIMS if seed == SEEDS[0] else [DIM]:
                    P = PROJECTIONS[kind](seed, name, d)
                    if d == DIM and seed == SEEDS[0]:
                        timed(seconds[engine, kind], P.project, rows[: len(train)])
                    phi, g = split(P.project(rows), len(train))
                    for storage in STORAGES if d == DIM else ["float32"]:
                        yield (engine, kind, d, storage, SCHEME, seed), attribution(stored(phi, storage), g)
        report(f"checkpoint {name}: {engine}, {rows.shape[1]} columns")


def schemes_scores(theta, name, images, target, seconds):
    """The other draw schemes, with exact gradients and SJLT; yields (variant, scores)."""
    for scheme in SCHEMES:
        if scheme == SCHEME:
            continue
        train = list(train_examples(theta, name, images, scheme))
        rows = gradients(theta, grad_engine(theta, 0, name, None), train, target, seconds["exact",])
        for seed in SEEDS:
            phi, g = split(PROJECTIONS["sjlt"](seed, name, DIM).project(rows), len(train))
            yield ("exact", "sjlt", DIM, "float32", scheme, seed), attribution(stored(phi, "float32"), g)


def engine_name(rank):
    """As in the tables."""
    return f"factorised, rank {rank}" if rank else "exact"


def grad_engine(theta, seed, name, rank):
    """The gradient engine of that rank, exact for None."""
    return LoGra(theta.unet, seed, name, rank) if rank else PerExampleGradients(theta.unet)


def gradients(theta, grad, train, target, seconds):
    """Gradients of the train images, timed, and below them those of the targets."""
    rows = timed(seconds, grad, partial(algorithm1.train_loss, theta), train)
    return torch.cat([rows, grad(partial(algorithm1.output_function, theta), target)])


def timed(seconds, work, *args):
    """The result of ``work``; the seconds that it took are added to the list."""
    began = time.perf_counter()
    found = work(*args)
    seconds.append(time.perf_counter() - began)
    return found


def split(projected, n):
    """Train features and target gradients."""
    return projected[:n].numpy(), projected[n:].numpy()


def stored(phi, dtype):
    """The features as they come back from a store of that type."""
    with tempfile.TemporaryDirectory() as folder:
        with create_store(f"{folder}/features.zarr", dict) as store:
            quantised.create(store, "phi", ["train", "feature"], phi.shape, dtype)
            quantised.put(store, "phi", slice(None), phi, "image", range(len(phi)))
        return np.concatenate([rows for _, rows in quantised.blocks(open_store(f"{folder}/features.zarr"))])


def lds_by_target(tau, sets, subsets):
    """{set: LDS of every target, averaged over its steps}."""
    found, start = {}, 0
    for name, targets in sets.items():
        shape = targets.outputs.shape[:2]
        own = tau[start : start + np.prod(shape)].reshape(*shape, -1)
        found[name] = lds.lds(lds.predictions(subsets, own), targets.outputs).mean(1)
        start += np.prod(shape)
    return found


def keep(values, file):
    """Write the LDS of every variant, seed, set and target."""
    each = {(*variant, name): found for variant, by_set in values.items() for name, found in by_set.items()}
    np.savez(file, **{" ".join(map(str, key)): found for key, found in each.items()})


def storage_changes(found):
    """{variant without seed: largest change of a score against float32, relative to its row's largest, by seed}."""
    changes = defaultdict(list)
    for variant, tau in found.items():
        whole = found[*variant[:3], "float32", *variant[4:]]
        changes[variant[:-1]].append((np.abs(tau - whole).max(1) / np.abs(whole).max(1)).max())
    return {variant: max(each) for variant, each in changes.items()}


def over_seeds(values, variant, name):
    """LDS of one variant by seed and target: (seeds, K)."""
    return np.array([values[*variant, seed][name] for seed in SEEDS])


def mean_cell(each):
    """Mean ± standard error over targets."""
    mean, error = lds.mean_over_targets(each)
    return f"{mean:.3f} ± {error:.3f}"


def summary_cells(values, variant, reference):
    """For each set: LDS, paired difference to the reference, and sd over the seeds of P."""
    cells = []
    for name in ("held-out", "reported"):
        each = over_seeds(values, variant, name)
        mean, error = lds.mean_over_targets((each - over_seeds(values, reference, name)).mean(0))
        difference = "–" if variant == reference else f"{mean:+.4f} ± {error:.4f}"
        cells += [mean_cell(each.mean(0)), difference, f"{each.mean(1).std(ddof=1):.4f}"]
    return cells


SUMMARY = ["held-out LDS", "difference", "sd over P", "reported LDS", "difference", "sd over P"]


def by_storage(values, seconds, changes):
    """Table 1: engine × projection × storage."""
    rows = []
    for engine in map(engine_name, RANKS):
        for kind in PROJECTIONS:
            cost = min(seconds[engine,]) + min(seconds[engine, kind])
            for storage in STORAGES:
                variant = (engine, kind, DIM, storage, SCHEME)
                size = DIM * np.dtype(storage).itemsize + (4 if quantised.LARGEST[storage] else 0)
                change = "–" if storage == "float32" else f"{changes[variant]:.1e}"
                cells = summary_cells(values, variant, REFERENCE)
                rows.append([engine, kind, storage, *cells, change, size, f"{cost:.1f}"])
    text = (
        f"### Engine, projection and storage, d = {DIM}\n\n"
        f"LDS: mean ± standard error over targets, each the average over {len(SEEDS)} seeds of P and of the random "
        "factors. Difference: paired over targets, to exact gradients, gaussian, float32; its standard error "
        "leaves out the noise of P. Sd over P: of the mean LDS, over the seeds. Score change: from float32's scores, "
        "the largest over seeds, targets and steps, relative to the largest score there. Bytes: of an image, for "
        "one checkpoint. Seconds: to featurise all images for one checkpoint, gradients and projection, one thread, "
        "the fastest of several.\n\n"
    )
    columns = ["engine", "projection", "storage", *SUMMARY, "score change", "bytes", "seconds"]
    return text + table(columns, rows)


def by_dimension(values):
    """Table 2: LDS against d, and without a projection."""
    rows = []
    for name in ("held-out", "reported"):
        for engine in map(engine_name, RANKS):
            for kind in PROJECTIONS:
                variants = [(engine, kind, d, "float32", SCHEME, SEEDS[0]) for d in DIMS]
                variants.append((engine, *UNPROJECTED, SEEDS[0]))
                rows.append([name, engine, kind, *(mean_cell(values[variant][name]) for variant in variants)])
    text = "### Dimension\n\nLDS, mean ± standard error over targets; float32, one seed of P and of the factors.\n\n"
    return text + table(["targets", "engine", "projection", *(f"d = {d}" for d in DIMS), "no P"], rows)


def by_scheme(values):
    """Table 3: draw schemes."""
    variants = {scheme: ("exact", "sjlt", DIM, "float32", scheme) for scheme in SCHEMES}
    rows = [[scheme, *summary_cells(values, variant, variants[SCHEME])] for scheme, variant in variants.items()]
    text = f"### Draw schemes\n\nExact gradients, SJLT, d = {DIM}, {DRAWS} draws; difference: paired, to {SCHEME}.\n\n"
    return text + table(["scheme", *SUMMARY], rows)


def header(made, subsets, names, sets):
    """The header of the section: what was run."""
    asked = "; ".join(
        f"{len(t.names)} {name} targets at steps {', '.join(map(str, t.steps))}" for name, t in sets.items()
    )
    models_per_subset = sets["reported"].outputs.shape[-1]
    return (
        "## Quality\n\n"
        f"`benchmarks/quality.py` on the digits experiment: {subsets.shape[1]} images, {subsets.shape[0]} subsets × "
        f"{models_per_subset} models; {asked}; {len(names)} checkpoints, {DRAWS} {SCHEME} train draws and {DRAWS} "
        f"target draws, damping {DAMPING}, g_t around each checkpoint's own x̂0_t; commit {made['commit']}, torch "
        f"{made['packages']['torch']}, {(time.perf_counter() - BEGAN) / 60:.0f} minutes. Defaults are chosen on the "
        "held-out targets; the reported ones only confirm."
    )


def report(what):
    """Progress with the seconds since the start."""
    print(f"{time.perf_counter() - BEGAN:6.0f} s  {what}", file=sys.stderr, flush=True)


BEGAN = time.perf_counter()

if __name__ == "__main__":
    main()
