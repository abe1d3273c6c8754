"""data/train.zarr as a model sees it: images or latents, and what each of them is conditioned on."""

import torch

from . import models
from .arrays import Rows, read


def inputs_of(data):
    """The array that models see: latents where there are any, else the images."""
    return data["latent" if "latent" in data else "image"]


def conditions_of(data, denoiser):
    """Conditions of the training images, to be indexed with an array of rows; None for an unconditional model."""
    if denoiser.conditioned_by == "encoder_hidden_states":
        return Rows(data["text_embedding"])
    if denoiser.conditioned_by == "class_labels":
        return torch.from_numpy(read(data["label"]))
    return None


def null_of(data):
    """The embedding of the empty caption (token, width), or None."""
    return torch.from_numpy(read(data["null_embedding"])) if "null_embedding" in data else None


def require_fit(denoiser, data, name):
    """Refuse a model that does not fit the data.

    Raises:
        WaypointError: another shape, classes or captions that do not fit; as ``models.require_fit``.
    """
    labels = read(data["label"]) if "label" in data else None
    width = data["text_embedding"].shape[2] if "text_embedding" in data else None
    models.require_fit(denoiser, tuple(inputs_of(data).shape[1:]), labels, name, width)
