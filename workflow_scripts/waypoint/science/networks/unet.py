"""How a diffusers UNet is called: without a condition, with classes, or with embedded captions."""

# diffusers is partly untyped: a model's configuration and its call
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# a configuration is declared as a dict, but its keys are its attributes too
# pyright: reportAttributeAccessIssue=false

from typing import TYPE_CHECKING

from waypoint.science.types import UNet

if TYPE_CHECKING:
    from torch import Tensor


def condition_keyword(unet: UNet) -> str | None:
    """The argument by which a UNet takes its condition: "class_labels", "encoder_hidden_states", or None for none."""
    if "cross_attention_dim" in unet.config:
        return "encoder_hidden_states"
    return None if unet.config.get("num_class_embeds") is None else "class_labels"


def input_shape(unet: UNet) -> tuple[int, ...]:
    """(C, H, W) of the images or latents that a UNet works on."""
    size = unet.config.sample_size
    return (unet.config.in_channels, *([size] * 2 if isinstance(size, int) else size))


def output(unet: UNet, x: "Tensor", t: "Tensor", keyword: str | None, condition: "Tensor | None") -> "Tensor":
    """The raw output (B, C, H, W) on x (B, C, H, W) at steps t, a tensor (B,) or of one number.

    Args:
        keyword: as from ``condition_keyword``.
        condition: classes (B,), embedded captions (B, token, width), or None; ignored where ``keyword`` is None.
    """
    named = {} if keyword is None else {keyword: condition}
    return unet(x, t, **named).sample
