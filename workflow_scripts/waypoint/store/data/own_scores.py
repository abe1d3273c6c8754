"""Users' own scores: a Zarr store with the variable ``score`` (step, train), as xarray writes it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from waypoint.errors import WaypointError
from waypoint.store.types import StrPath, Values, array_of

if TYPE_CHECKING:
    from zarr.types import AnyArray

DIMS = ("step", "train")


class OwnScores:
    """One target's scores, open for reading.

    Attributes:
        steps: training-time steps. images: number of training images.

    Args:
        path: the store. context: begins error messages.

    Raises:
        WaypointError: there is no such store, or it lacks ``score`` (step, train) or its coordinate ``step``.
    """

    def __init__(self, path: StrPath, context: str):
        # imported lazily: importing zarr takes most of a second, and few experiments have such scores
        from waypoint.store.zarr.typed_zarr import open_group

        self.path, self.context = path, context
        if not Path(path).is_dir():
            raise WaypointError(f"{context}: there is no store {path}")
        try:
            self.group = open_group(path)
            names = set(self.group.array_keys())
        except (OSError, ValueError, KeyError) as error:
            raise WaypointError(f"{context}: {path} is not a readable Zarr store ({error})") from error
        for name in ("score", "step"):
            if name not in names:
                raise WaypointError(f"{context}: {path} has no variable {name!r}")
        score = array_of(self.group, "score")
        if (dims := dims_of(score)) not in (DIMS, DIMS[::-1]):
            raise WaypointError(f"{context}: score in {path} has dimensions {dims}; {DIMS} are needed")
        if score.dtype.kind not in "fiu":
            raise WaypointError(f"{context}: score in {path} holds {score.dtype}; numbers are needed")
        steps = _values(array_of(self.group, "step"))
        if steps.dtype.kind not in "iu":
            raise WaypointError(f"{context}: step in {path} must hold whole training-time steps")
        shape = dict(zip(dims, score.shape))
        self.steps: list[int] = steps.tolist()
        self.images = shape["train"]
        if len(self.steps) != shape["step"] or len(set(self.steps)) != len(self.steps):
            raise WaypointError(f"{context}: step in {path} must name each of the {shape['step']} rows of score once")
        if "train" in names and not np.array_equal(_values(array_of(self.group, "train")), np.arange(self.images)):
            raise WaypointError(f"{context}: train in {path} must be 0, 1, …: the places of images in data/train.zarr")

    def require(self, steps: Sequence[int], images: int | None = None) -> None:
        """Refuse scores that lack a step, or are for another number of training images (None: unknown).

        Raises:
            WaypointError: names the step, or both numbers.
        """
        if missing := [t for t in steps if t not in self.steps]:
            raise WaypointError(f"{self.context}: {self.path} has no scores of step {missing[0]}")
        if images not in (None, self.images):
            raise WaypointError(
                f"{self.context}: {self.path} has scores of {self.images} training images; there are {images}"
            )

    def rows(self, name: str, steps: Sequence[int]) -> NDArray[np.float32] | None:
        """Read ``score`` or ``score_se`` at some steps, (S, N) float32, or None if there is no such variable.

        Raises:
            WaypointError: its shape is not that of score, values are not finite, or a standard error is below 0.
        """
        if name not in self.group:
            return None
        array = array_of(self.group, name)
        values = _values(array).T if dims_of(array) == DIMS[::-1] else _values(array)
        if values.shape != (len(self.steps), self.images):
            raise WaypointError(f"{self.context}: {name} in {self.path} has another shape than score")
        with np.errstate(over="ignore"):  # it becomes infinite, which is refused
            chosen = values[[self.steps.index(t) for t in steps]].astype(np.float32)
        if not np.isfinite(chosen).all():
            raise WaypointError(
                f"{self.context}: {name} in {self.path} is not finite (NaN, infinite, or beyond 32-bit floats) at "
                f"{int((~np.isfinite(chosen)).sum()):,} of {chosen.size:,} places; correct them"
            )
        if name == "score_se" and not (chosen >= 0).all():
            raise WaypointError(
                f"{self.context}: score_se in {self.path} has values below 0, but a standard error is a number "
                "from 0 on; correct them, or leave score_se out"
            )
        return chosen


def _values(array: "AnyArray") -> Values:
    return cast(Values, array[:])


def dims_of(array: "AnyArray") -> tuple[str, ...]:
    """Return the names of an array's dimensions, in Zarr format 3 or 2."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    return tuple(cast(Sequence[str] | None, names) or ())
