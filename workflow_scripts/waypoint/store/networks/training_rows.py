"""The training images that a retrained model sees, and the checks that a model was trained on them."""

# science has no type hints yet
# pyright: reportUnknownVariableType=false

from typing import Protocol

import numpy as np
import zarr
from numpy.typing import ArrayLike, NDArray

from waypoint.errors import WaypointError
from waypoint.science.evaluation.subsets import removal_count, subset_rows, without_random, without_top
from waypoint.store.artifacts.fingerprint import array_hash
from waypoint.store.types import Attributes, StrPath, array_of
from waypoint.store.zarr.reader import read


class TrainedModel(Protocol):
    """A model in the store, such as a job's ``Checkpoint``."""

    @property
    def path(self) -> StrPath:
        """Its folder."""
        ...

    @property
    def attributes(self) -> Attributes:
        """The attributes in its marker."""
        ...


def training_rows(images: Attributes | None, seed: int, n: int, scores: zarr.Group | None = None) -> NDArray[np.int64]:
    """Return the rows, out of n, that a spec's section ``images`` selects; all rows if it is None.

    Args:
        images: {"subset", "fraction"}, {"random", "remove"}, {"method", "target", "step", "remove"}, or None.
        scores: the open store of that method and target, for the last form.

    Raises:
        WaypointError: the removal would take no image, or all of them.
    """
    if images is None:
        return np.arange(n)
    if "subset" in images:
        return subset_rows(seed, images["subset"], n, images["fraction"])
    remove = int(removal_count(images["remove"], n))
    if not 0 < remove < n:
        raise WaypointError(f"n_remove: {images['remove']} of {n} training images leaves nothing to compare")
    if "random" in images:
        return without_random(seed, images["random"], n, remove)
    if scores is None:
        raise ValueError("the images to remove are chosen by scores, which are needed here")
    steps: list[int] = read(array_of(scores, "step")).tolist()
    return without_top(read(array_of(scores, "score"), steps.index(images["step"])), remove)


def rows_hash(rows: ArrayLike) -> str:
    """Return the SHA-256 of a model's training rows, as its attributes hold it."""
    return array_hash(np.asarray(rows, np.int64))


def require_rows(checkpoint: TrainedModel, rows: ArrayLike) -> None:
    """Refuse a model that was trained on other images than ``rows``.

    Raises:
        WaypointError: the rows differ; names the model.
    """
    if checkpoint.attributes["rows_sha256"] != rows_hash(rows):
        raise WaypointError(
            f"{checkpoint.path} was trained on different images than the configuration asks for; delete it and rerun"
        )


def require_own_images(checkpoint: TrainedModel, content: str, path: StrPath) -> None:
    """Refuse a model that was trained here on images other than those of a data/train.zarr.

    Args:
        content: ``sha256`` in the attributes of the store at ``path``.

    Raises:
        WaypointError: names both.
    """
    if checkpoint.attributes.get("data_sha256", content) != content:
        raise WaypointError(f"{checkpoint.path} was trained on other images than {path} holds; retrain it")
