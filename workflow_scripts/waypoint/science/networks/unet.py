"""How a network of diffusers is called: with what its kind declares (``kinds``), and with a class for no class."""

# torch and diffusers are partly untyped; diffusers declares a configuration, whose keys are its attributes, as a dict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false

import torch

from waypoint.errors import WaypointError
from waypoint.science.networks.known import NETWORKS, network_of_new
from waypoint.science.networks.network import Keyword, Network
from waypoint.science.types import Integers, UNet


def kind_of(unet: UNet) -> Network:
    """The ``Network`` of a loaded one; of a class of somebody's own the one that its configuration describes."""
    return NETWORKS.get(type(unet).__name__) or network_of_new(unet.config)


def condition_keyword(unet: UNet) -> Keyword:
    """The argument by which a network takes its condition: "class_labels", "encoder_hidden_states", or None."""
    return kind_of(unet).conditioned_by(unet.config)


def input_shape(unet: UNet) -> tuple[int, ...]:
    """(C, H, W) of the images or latents that a network works on."""
    size = unet.config.sample_size
    return (unet.config.in_channels, *([size] * 2 if isinstance(size, int) else size))


def output(unet: UNet, x: torch.Tensor, t: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
    """The raw output (B, C, H, W) on x (B, C, H, W) at steps t, a tensor (B,) or of one number.

    Args:
        condition: classes (B,), embedded captions (B, token, width), or None; unconditional networks ignore it.
    """
    return unet(x, t, **kind_of(unet).arguments(unet.config, x, condition)).sample


def null_class(unet: UNet) -> torch.Tensor:
    """The class that stands for no class under guidance, a tensor of one number: the last embedding's.

    A model of C classes that knows it has num_class_embeds C + 1.
    """
    return torch.tensor(unet.config.num_class_embeds - 1)


def require_null_class(unet: UNet, labels: torch.Tensor | Integers, name: str) -> None:
    """Refuse training images of the class that guidance and dropped labels take for no class.

    Args:
        labels: (n,) class of every image, array or tensor. name: of the model, for the error.

    Raises:
        WaypointError: some image has it.
    """
    null = int(null_class(unet))
    if int(labels.max()) >= null:
        raise WaypointError(
            f"{name} takes class {null}, its last, for no class (sampling.guidance, training.label_dropout), but "
            f"training images have labels up to {int(labels.max())}; a model of {null + 1} classes needs "
            f"num_class_embeds {null + 2}"
        )
