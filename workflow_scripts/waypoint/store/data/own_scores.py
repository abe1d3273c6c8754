"""Scores from elsewhere: a Zarr store with the variable ``score`` (step, train), as xarray writes it."""

from pathlib import Path

import numpy as np

from waypoint.errors import WaypointError

DIMS = ("step", "train")


class OwnScores:
    """One target's scores, open for reading.

    Attributes:
        steps: training-time steps. images: number of training images.

    Args:
        path: the store. where: begins error messages.

    Raises:
        WaypointError: no such store, or one without ``score`` (step, train) and its coordinate ``step``.
    """

    def __init__(self, path, where):
        import zarr  # most of a second, of which experiments without such scores need none

        self.path, self.where = path, where
        if not Path(path).is_dir():
            raise WaypointError(f"{where}: there is no store {path}")
        try:
            self.group = zarr.open_group(path, mode="r")
            names = set(self.group.array_keys())
        except (OSError, ValueError, KeyError) as error:
            raise WaypointError(f"{where}: {path} is no readable Zarr store ({error})") from error
        for name in ("score", "step"):
            if name not in names:
                raise WaypointError(f"{where}: {path} has no variable {name!r}")
        score = self.group["score"]
        if (dims := dims_of(score)) not in (DIMS, DIMS[::-1]):
            raise WaypointError(f"{where}: score in {path} has dimensions {dims}; {DIMS} are needed")
        if score.dtype.kind not in "fiu":
            raise WaypointError(f"{where}: score in {path} holds {score.dtype}; numbers are needed")
        steps = self.group["step"][:]
        if steps.dtype.kind not in "iu":
            raise WaypointError(f"{where}: step in {path} must hold whole training-time steps")
        shape = dict(zip(dims, score.shape))
        self.steps, self.images = steps.tolist(), shape["train"]
        if len(self.steps) != shape["step"] or len(set(self.steps)) != len(self.steps):
            raise WaypointError(f"{where}: step in {path} must name each of the {shape['step']} rows of score once")
        if "train" in names and not np.array_equal(self.group["train"][:], np.arange(self.images)):
            raise WaypointError(f"{where}: train in {path} must be 0, 1, …: the places of images in data/train.zarr")

    def require(self, steps, images=None):
        """Refuse scores that lack a step, or are of another number of training images (None: unknown).

        Raises:
            WaypointError: says which.
        """
        if missing := [t for t in steps if t not in self.steps]:
            raise WaypointError(f"{self.where}: {self.path} has no scores of step {missing[0]}")
        if images not in (None, self.images):
            raise WaypointError(
                f"{self.where}: {self.path} has scores of {self.images} training images; there are {images}"
            )

    def rows(self, name, steps):
        """``score`` or ``score_se`` at some steps, (S, N) float32, or None where there is no such variable."""
        if name not in self.group:
            return None
        array = self.group[name]
        values = array[:].T if dims_of(array) == DIMS[::-1] else array[:]
        if values.shape != (len(self.steps), self.images):
            raise WaypointError(f"{self.where}: {name} in {self.path} has another shape than score")
        return values[[self.steps.index(t) for t in steps]].astype(np.float32)


def dims_of(array):
    """Names of an array's dimensions, in Zarr of format 3 or 2."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    return tuple(names)
