# pyright: reportUnknownMemberType=false
# the networks are not typed
"""data/train.zarr from a model's point of view: images or latents, and their conditions."""

import numpy as np
import torch
import zarr
from numpy.typing import ArrayLike, NDArray
from zarr.types import AnyArray

from waypoint.science.processes.ddpm import Denoiser
from waypoint.store.networks import checkpoints
from waypoint.store.types import array_of
from waypoint.store.zarr.reader import Rows, read


class Captions:
    """Embedded captions of some training images, read when indexed.

    Args:
        array: text_embedding. rows: (n,) indices of the training images.
    """

    def __init__(self, array: AnyArray, rows: ArrayLike):
        self._rows = Rows(array, rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: ArrayLike) -> torch.Tensor:
        """Read the embedded captions (B, token, width) at some positions (B,) among the rows."""
        return torch.as_tensor(self._rows[rows])


def inputs_of(data: zarr.Group) -> AnyArray:
    """Return the array that models see: latents if there are any, else the images."""
    return array_of(data, "latent" if "latent" in data else "image")


def conditions_of(data: zarr.Group, denoiser: Denoiser, rows: ArrayLike) -> Captions | torch.Tensor | None:
    """Return the conditions of some training images, indexed by position in ``rows``; None for an unconditional model.

    Args:
        rows: (n,) indices of training images.
    """
    if denoiser.conditioned_by == "encoder_hidden_states":
        return Captions(array_of(data, "text_embedding"), rows)
    if denoiser.conditioned_by == "class_labels":
        return torch.as_tensor(read(array_of(data, "label"))[np.asarray(rows)])
    return None


def null_of(data: zarr.Group) -> torch.Tensor | None:
    """Read the embedding of the empty caption (token, width), or return None."""
    return torch.as_tensor(read(array_of(data, "null_embedding"))) if "null_embedding" in data else None


def require_fit(denoiser: Denoiser, data: zarr.Group, name: str, rows: slice | NDArray[np.int64] = slice(None)) -> None:
    """Refuse a model that does not fit the data, or some of its rows.

    Raises:
        WaypointError: shape, classes or captions do not fit, as in ``checkpoints.require_fit``; or the data are latents
            and the scheduler clips.
    """
    if "latent" in data:
        checkpoints.require_unclipped(denoiser, name)
    labels = read(array_of(data, "label"))[rows] if "label" in data else None
    width = array_of(data, "text_embedding").shape[2] if "text_embedding" in data else None
    checkpoints.require_fit(denoiser, tuple(inputs_of(data).shape[1:]), labels, name, width)
