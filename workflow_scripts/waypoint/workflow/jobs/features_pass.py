"""Scores from train features and target gradients: the mean over checkpoints of their terms.

The features of all checkpoints are read once, block by block, for all waiting targets (``shared_pass``). For a single
checkpoint, scores of both halves of the draws may be computed too: φ_i and g_t are those of one half, the kernel is
that of all draws.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from waypoint.errors import WaypointError
from waypoint.science.kernel import side_by_side
from waypoint.store.zarr.parallel_reader import Readers
from waypoint.store.zarr.quantised import blocks
from waypoint.store.zarr.reader import read
from waypoint.store.zarr.writer import Columns, adopt_store, create_store
from waypoint.workflow.jobs.noise_trajectories import gradients_of, mean_and_error, noises_of
from waypoint.workflow.jobs.shared_pass import SharedPass
from waypoint.workflow.kept_scores import kept

# of scripts; those of methods with a kernel add kernels*, and fisher* if it is made from Fisher rows
ARGUMENTS = ["gradients", "features*", "method", "target", "targets*", "waiting", "out"]


@dataclass(frozen=True)
class Features:
    """Φ of one checkpoint.

    Attributes:
        blocks: as for ``science.kernel.scores``. n, d: the shape of Φ. kernel: the open store of the kernel, or None.
        rows: the open store of its Fisher rows, or None.
    """

    blocks: Callable
    n: int
    d: int
    kernel: Any = None
    rows: Any = None


Term = Callable[[Features, np.ndarray], Iterator[tuple[int, np.ndarray]]]


def score_in_one_pass(job, term: Term) -> None:
    """Store the scores of the job's target, computing them unless an earlier pass has done so.

    Args:
        term: one checkpoint's term of the mean: (its ``Features``, g (steps, d)) → an iterator over blocks of images,
            (start, scores (steps, b)).
    """
    shared = SharedPass(job)
    with shared.turn():
        if not shared.waiting():
            one_pass(job, shared, term)
        attributes = partial(job.provenance, method=job.args.method, target=job.args.target)
        adopt_store(shared.place(job.args.target), job.args.out, attributes)


def one_pass(job, shared, term):
    """Read the features of all checkpoints once, block by block, for every target of the pass."""
    names = read(shared.gradients["checkpoint"]).tolist()
    checkpoints = [open_stores(job, shared, m, name) for m, name in enumerate(names)]
    n, d = checkpoints[0][0]["phi"].shape
    keep_checkpoints, keep_halves = (
        job.settings["scores"]["keep_checkpoints"],
        job.settings["scores"].get("keep_halves", False),
    )
    keep_each = kept(keep_checkpoints, n, d, len(names)) and (keep_checkpoints is not None or len(names) > 1)
    targets = shared.targets(checkpoints[0][0]["phi"].chunks[0])
    job.say(f"one pass over the features for {', '.join(targets)}")
    with contextlib.ExitStack() as stack:
        readers = stack.enter_context(Readers(len(names)))
        parts, writers = [], []
        for m, (features, *kernel_stores) in enumerate(checkpoints):
            g = np.concatenate([gradients_of(gradients, m) for gradients in targets.values()])
            parts.append(term(Features(partial(blocks, features, readers=readers), n, d, *kernel_stores), g))
            for half in (0, 1) if keep_halves else ():
                # g_half is already the mean over noise trajectories, so it is used for each of them
                g = np.concatenate(
                    [
                        np.tile(read(gradients["g_half"], m)[:, half], (noises_of(gradients), 1))
                        for gradients in targets.values()
                    ]
                )
                parts.append(term(Features(partial(half_blocks, features, half), n, d, *kernel_stores), g))
        for target, gradients in targets.items():
            attributes = {"identity": shared.identity(gradients)}
            store = stack.enter_context(create_store(shared.place(target), partial(dict, attributes)))
            store.label(method=job.args.method, target=target)
            noises = noises_of(gradients)
            writers.append(Scores(store, names, read(gradients["step"]), n, keep_each, keep_halves, noises))
        ends = np.cumsum([writer.noises * len(writer.steps) for writer in writers])[:-1]
        for start, terms in side_by_side(parts):
            tau = np.stack(terms)
            for writer, scores in zip(writers, np.split(tau, ends, axis=1)):
                writer.append(scores)
            job.progress(start + tau.shape[2], n, "images")


def open_stores(job, shared, m, name):
    """Open the features of checkpoint m and, if the method has them, its kernel and Fisher rows.

    Raises:
        WaypointError: they and the gradients come from different weights or curvatures.
    """
    folders = [getattr(job.args, kind, None) for kind in ("features", "kernels", "fisher")]
    stores = [job.open(paths[m]) for paths in folders if paths]
    for store in stores:
        weights, curvature = shared.origins[m]
        if store.attrs["weights"] != weights:
            raise WaypointError(
                f"{store.store_path.store.root} and {job.args.gradients} come from different weights of checkpoint "
                f"{name}; delete both and rerun"
            )
        if store.attrs.get("mapped_by", curvature) != curvature:  # kernels record only the weights
            raise WaypointError(
                f"{store.store_path.store.root} and {job.args.gradients} were whitened by different curvatures of "
                f"checkpoint {name}; delete both and rerun"
            )
    return stores


def half_blocks(features, half, each=None):
    """Iterate over blocks of one half's features, as ``quantised.blocks`` does for all draws."""
    return blocks(features, "phi_half", lambda rows: each(rows[:, half]) if each else rows[:, half])


class Scores:
    """A writer of one target's scores.

    Scores are averaged over noise trajectories. ``score_se_noise`` is the standard error over them; ``score_se`` adds
    it in squares to the error over checkpoints. Since all checkpoints have the same noises, the two errors overlap only
    in the interaction of checkpoint and noise, which counts twice.
    """

    def __init__(self, store, names, steps, n, keep_checkpoints, keep_halves, noises=1):
        self.steps, self.noises, dims, shape = steps, noises, ["step", "train"], (len(steps), n)
        store.write("step", ["step"], steps)
        store.write("train", ["train"], np.arange(n))
        self.score = Columns(store, "score", dims, shape, "step", steps)
        self.error = self.by_checkpoint = self.halves = self.noise_error = None
        self.models = len(names)
        if noises > 1:
            self.noise_error = Columns(store, "score_se_noise", dims, shape, "step", steps)
        if len(names) > 1:
            self.error = Columns(store, "score_se", dims, shape, "step", steps)
        if keep_checkpoints:
            store.write("checkpoint", ["checkpoint"], np.array(names))
            shape = (len(names), *shape)
            self.by_checkpoint = Columns(
                store, "score_by_checkpoint", ["checkpoint", *dims], shape, "checkpoint", names
            )
        if keep_halves:
            store.write("half", ["half"], np.arange(2))
            self.halves = Columns(store, "score_by_half", ["half", *dims], (2, len(steps), n), "half", [0, 1])

    def append(self, tau):
        """Append scores of further images: (checkpoint, noise · step, images), noises outermost, halves at the end."""
        tau = tau.reshape(len(tau), self.noises, len(self.steps), -1)
        _, noise_error = mean_and_error(tau[: self.models].astype(np.float64).mean(0))
        tau = tau.mean(1) if self.noises > 1 else tau[:, 0]
        tau, halves = tau[: self.models], tau[self.models :]
        if self.halves:
            self.halves.append(halves)
        mean, error = mean_and_error(tau.astype(np.float64))
        self.score.append(mean)
        if self.noise_error and noise_error is not None:
            self.noise_error.append(noise_error)
        if self.error and error is not None:
            self.error.append(error if noise_error is None else np.hypot(error, noise_error))
        if self.by_checkpoint:
            self.by_checkpoint.append(tau)
