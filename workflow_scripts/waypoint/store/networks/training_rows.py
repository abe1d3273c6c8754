"""The images that a retrained model sees, and how a reader makes sure of it."""

import numpy as np

from waypoint.errors import WaypointError
from waypoint.science.evaluation.subsets import removal_count, subset_rows, without_random, without_top
from waypoint.store.artifacts.fingerprint import array_hash
from waypoint.store.zarr.reader import read


def training_rows(images, seed, n, scores=None):
    """The rows, out of n, that a spec's section ``images`` stands for; all of them without one.

    Args:
        images: {"subset", "fraction"}, {"random", "remove"}, {"method", "target", "step", "remove"}, or None.
        scores: the open store of that method and target, for the last.

    Raises:
        WaypointError: a removal that leaves nothing.
    """
    if images is None:
        return np.arange(n)
    if "subset" in images:
        return subset_rows(seed, images["subset"], n, images["fraction"])
    remove = removal_count(images["remove"], n)
    if not 0 < remove < n:
        raise WaypointError(f"n_remove: {images['remove']} of {n} training images leaves nothing to compare")
    if "random" in images:
        return without_random(seed, images["random"], n, remove)
    row = read(scores["step"]).tolist().index(images["step"])
    return without_top(read(scores["score"], row), remove)


def rows_hash(rows):
    """SHA-256 of the rows a model was trained on, which its attributes carry."""
    return array_hash(np.asarray(rows, np.int64))


def require_rows(checkpoint, rows):
    """Refuse a model that was trained on other images than ``rows``.

    Args:
        checkpoint: has ``path`` and ``attributes``.

    Raises:
        WaypointError: names the model.
    """
    if checkpoint.attributes["rows_sha256"] != rows_hash(rows):
        raise WaypointError(f"{checkpoint.path} was trained on other images than are wanted now; delete it and rerun")
