"""How a diffusers UNet is called: without a condition, with classes, or with embedded captions; SDXL's with more."""

# torch and diffusers are partly untyped; diffusers declares a configuration, whose keys are its attributes, as a dict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false

from typing import Any, Literal, TypeAlias

import torch

from waypoint.errors import WaypointError
from waypoint.science.networks import sdxl
from waypoint.science.types import Integers, UNet

Keyword: TypeAlias = Literal["class_labels", "encoder_hidden_states"] | None


def condition_keyword(unet: UNet) -> Keyword:
    """The argument by which a UNet takes its condition: "class_labels", "encoder_hidden_states", or None for none."""
    if "cross_attention_dim" in unet.config:
        return "encoder_hidden_states"
    return None if unet.config.get("num_class_embeds") is None else "class_labels"


def input_shape(unet: UNet) -> tuple[int, ...]:
    """(C, H, W) of the images or latents that a UNet works on."""
    size = unet.config.sample_size
    return (unet.config.in_channels, *([size] * 2 if isinstance(size, int) else size))


def output(
    unet: UNet, x: torch.Tensor, t: torch.Tensor, keyword: Keyword, condition: torch.Tensor | None
) -> torch.Tensor:
    """The raw output (B, C, H, W) on x (B, C, H, W) at steps t, a tensor (B,) or of one number.

    Args:
        keyword: as from ``condition_keyword``.
        condition: classes (B,), embedded captions (B, token, width), or None; ignored where ``keyword`` is None.
    """
    named: dict[str, Any] = {} if keyword is None else {keyword: condition}
    if condition is not None and sdxl.is_sdxl(unet.config):
        named = sdxl.arguments(unet.config, x, condition)
    return unet(x, t, **named).sample


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
