"""data/train.zarr as a model sees it: images or latents, and what each of them is conditioned on."""

import numpy as np
import torch

from waypoint.errors import WaypointError
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.reader import Rows, read


class Captions(Rows):
    """Embedded captions, read when they are wanted, as tensors (B, token, width)."""

    def __getitem__(self, rows):
        return torch.from_numpy(super().__getitem__(rows))


def inputs_of(data):
    """The array that models see: latents where there are any, else the images."""
    return data["latent" if "latent" in data else "image"]


def conditions_of(data, denoiser, rows):
    """Conditions of some training images, to be indexed with their places among ``rows``; None for no condition.

    Args:
        rows: (n,) indices of training images.
    """
    if denoiser.conditioned_by == "encoder_hidden_states":
        return Captions(data["text_embedding"], rows)
    if denoiser.conditioned_by == "class_labels":
        return torch.from_numpy(read(data["label"])[np.asarray(rows)])
    return None


def null_of(data):
    """The embedding of the empty caption (token, width), or None."""
    return torch.from_numpy(read(data["null_embedding"])) if "null_embedding" in data else None


def require_own_images(checkpoint, data, place):
    """Refuse a model that was trained here on other images than an open data/train.zarr at ``place`` holds.

    Args:
        checkpoint: a job's ``Checkpoint``.

    Raises:
        WaypointError: names both.
    """
    if checkpoint.attributes.get("data_sha256", data.attrs["sha256"]) != data.attrs["sha256"]:
        raise WaypointError(f"{checkpoint.path} was trained on other images than {place} holds; retrain it")


def require_fit(denoiser, data, name, rows=slice(None)):
    """Refuse a model that does not fit the data, or those of its rows that count.

    Raises:
        WaypointError: another shape, classes or captions that do not fit; as ``checkpoints.require_fit``. A scheduler
            that clips, where the data are latents.
    """
    if "latent" in data:
        checkpoints.require_unclipped(denoiser, name)
    labels = read(data["label"])[rows] if "label" in data else None
    width = data["text_embedding"].shape[2] if "text_embedding" in data else None
    checkpoints.require_fit(denoiser, tuple(inputs_of(data).shape[1:]), labels, name, width)
