"""tables/split_half.csv: scores of two halves of the checkpoints and of the draws, compared; signal against noise."""

from functools import partial

import numpy as np
import pandas as pd

from waypoint.errors import WaypointError
from waypoint.science.evaluation.split_half import signal_to_noise, split_half_reliability
from waypoint.science.kernel import factor, gathered, gram, one_block, scores
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.zarr.quantised import blocks
from waypoint.store.zarr.reader import read
from waypoint.workflow.jobs.job import run


def main(job):
    stores = {store.attrs["target"]: store for store in map(job.open, job.args.scores)}
    rows = []
    for target, store in stores.items():
        by_checkpoint = read(store["score_by_checkpoint"]).astype(np.float64)
        if len(by_checkpoint) < 2:
            job.say(f"{target}: one checkpoint has no halves")
            continue
        signal = signal_to_noise(read(store["score"]), read(store["score_se"]))
        rows += rows_of(target, store, "checkpoints", by_checkpoint[::2].mean(0), by_checkpoint[1::2].mean(0), signal)
    if job.args.gradients:
        for target, (even, odd) in by_half_of_the_draws(job, list(stores)).items():
            rows += rows_of(target, stores[target], "draws", even, odd)
    columns = ["method", "target", "step", "halves", "spearman", "full", "signal"]
    first = next(iter(stores.values()))
    attributes = {
        "images": first["score"].shape[1],
        "checkpoints": len(job.settings["checkpoints"]),
        "targets": len(stores),
    }
    attributes["method"] = first.attrs["method"]
    with atomic_file(job.args.out, lambda: job.provenance(**attributes)) as tmp:
        pd.DataFrame(rows, columns=columns).to_csv(tmp, index=False, float_format="%.6g")


def rows_of(target, store, halves, a, b, signal=None):
    """Yield one row per step; only halves of the checkpoints have a ``signal``."""
    agree, full = split_half_reliability(a, b)
    signal = np.full(len(agree), np.nan) if signal is None else signal
    for s, step in enumerate(read(store["step"])):
        yield [store.attrs["method"], target, step, halves, agree[s], full[s], signal[s]]


def by_half_of_the_draws(job, targets):
    """Return {target: scores (2, steps, N)} from each half of the train and target draws, with a kernel per half."""
    gradients = {target: job.open(path) for target, path in zip(targets, job.args.gradients)}
    total = {}
    for m, path in enumerate(job.args.features):
        features = job.open(path)
        for target, store in gradients.items():
            if store.attrs["weights"][m] != features.attrs["weights"]:
                raise WaypointError(
                    f"{path} and the gradients of {target} come from different weights; delete both and rerun"
                )
        n, _, d = features["phi_half"].shape
        for half in (0, 1):
            rows = partial(half_blocks, features, half)
            lower, _ = factor(gram(rows, n, d), n, d, job.settings["kernel"]["damping"])
            for target, store in gradients.items():
                tau = gathered(scores(rows, n, d, one_block(lower), read(store["g_half"], m)[:, half]))
                total.setdefault(target, np.zeros((2, *tau.shape)))[half] += tau
        job.progress(m + 1, len(job.args.features), "checkpoints")
    return total


def half_blocks(features, half, each=None):
    """Iterate over blocks of one half's features, as the kernel takes them."""
    return blocks(features, "phi_half", lambda rows: each(rows[:, half]) if each else rows[:, half])


if __name__ == "__main__":
    run(main, ["scores*", "features*", "gradients*", "out"])
