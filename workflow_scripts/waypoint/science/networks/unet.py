"""Calling a diffusers network as its kind declares (``kinds``), and its null class."""

# torch and diffusers are partly untyped; diffusers types a configuration, whose keys are attributes, as a dict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false

import torch

from waypoint.errors import WaypointError
from waypoint.science.networks.known import NETWORKS, network_of_new
from waypoint.science.networks.network import Keyword, Network
from waypoint.science.types import Integers, UNet


def kind_of(unet: UNet) -> Network:
    """Return the ``Network`` of a loaded network; for an unknown class, the one that its configuration describes."""
    return NETWORKS.get(type(unet).__name__) or network_of_new(unet.config)


def condition_keyword(unet: UNet) -> Keyword:
    """Return the argument that takes a network's condition: "class_labels", "encoder_hidden_states", or None."""
    return kind_of(unet).conditioned_by(unet.config)


def input_shape(unet: UNet) -> tuple[int, ...]:
    """Return the shape (C, H, W) of the images or latents that a network takes."""
    size = unet.config.sample_size
    return (unet.config.in_channels, *([size] * 2 if isinstance(size, int) else size))


def output(unet: UNet, x: torch.Tensor, t: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
    """Return the raw output (B, C, H, W) at x (B, C, H, W) and steps t, a tensor (B,) or of one number.

    Args:
        condition: classes (B,), embedded captions (B, token, width), or None; unconditional networks ignore it.
    """
    return unet(x, t, **kind_of(unet).arguments(unet.config, x, condition)).sample


def null_class(unet: UNet) -> torch.Tensor:
    """Return the null class of guidance, that of the last embedding, as a tensor of one number.

    A model of C classes with a null class has num_class_embeds C + 1.
    """
    return torch.tensor(unet.config.num_class_embeds - 1)


def require_null_class(unet: UNet, labels: torch.Tensor | Integers, name: str) -> None:
    """Refuse training images of the null class, which guidance and label dropout use.

    Args:
        labels: (n,) class of every image, array or tensor. name: of the model, for the error.

    Raises:
        WaypointError: an image has the null class or a larger one.
    """
    null = int(null_class(unet))
    if int(labels.max()) >= null:
        raise WaypointError(
            f"{name} takes class {null}, its last, as the null class (sampling.guidance, training.label_dropout), but "
            f"training images have labels up to {int(labels.max())}; a model of {null + 1} classes needs "
            f"num_class_embeds {null + 2}"
        )
