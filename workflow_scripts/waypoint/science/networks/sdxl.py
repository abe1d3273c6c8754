"""How SDXL's UNet is called: with an embedded caption, a pooled one, and six numbers about the image size.

Elsewhere in Waypoint a condition is one tensor. The pooled caption is therefore appended to the caption's tokens as
extra rows, padded with zeros, and split off again when the network is called.

The six numbers are height and width, the corner of a crop, and height and width again, with the defaults of diffusers'
pipeline: images are neither scaled nor cropped on the way to the network. The VAE makes sides eight times shorter.
"""

from typing import TYPE_CHECKING

from waypoint.errors import WaypointError
from waypoint.science.types import Settings

if TYPE_CHECKING:
    import torch

VAE_FACTOR = 8
SIZES = 6


def is_sdxl(config: Settings) -> bool:
    """Whether a UNet's configuration requires a pooled caption and sizes."""
    return config.get("addition_embed_type") == "text_time"


def pooled_width(config: Settings) -> int:
    """Return the width of a UNet's pooled caption."""
    return config["projection_class_embeddings_input_dim"] - SIZES * config["addition_time_embed_dim"]


def rows_for(width: int, pooled: int) -> int:
    """Return how many rows of ``width`` numbers a pooled caption of ``pooled`` numbers takes."""
    return -(-pooled // width)


def pack(text: "torch.Tensor", pooled: "torch.Tensor") -> "torch.Tensor":
    """Append pooled captions (n, P) to captions (n, token, width): (n, token + rows, width)."""
    import torch  # imported lazily: planning imports this file too

    width = text.shape[2]
    rows = rows_for(width, pooled.shape[1])
    padded = torch.zeros(len(text), rows * width, dtype=text.dtype, device=text.device)
    padded[:, : pooled.shape[1]] = pooled
    return torch.cat([text, padded.unflatten(1, (rows, width))], 1)


def unpack(condition: "torch.Tensor", pooled: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """Invert ``pack``: return the captions and the pooled captions.

    Args:
        condition: (n, token + rows, width). pooled: P.

    Raises:
        WaypointError: the condition has no token besides the pooled caption.
    """
    tokens = condition.shape[1] - rows_for(condition.shape[2], pooled)
    if tokens < 1:
        raise WaypointError(
            f"text_encoder: this network (SDXL) needs a pooled caption of {pooled} numbers beside its tokens; give the "
            "folder of a pipeline that has both text encoders"
        )
    return condition[:, :tokens], condition[:, tokens:].flatten(1)[:, :pooled]


def arguments(config: Settings, x: "torch.Tensor", condition: "torch.Tensor") -> dict[str, object]:
    """Return the UNet's arguments besides x (B, C, H, W) and t.

    Args:
        config: the UNet's configuration. condition: (B, token + rows, width), from ``pack``.
    """
    import torch

    text, pooled = unpack(condition, pooled_width(config))
    height, width = (VAE_FACTOR * side for side in x.shape[2:])
    sizes = torch.tensor([height, width, 0, 0, height, width], dtype=x.dtype, device=x.device).expand(len(x), SIZES)
    return {"encoder_hidden_states": text, "added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes}}
