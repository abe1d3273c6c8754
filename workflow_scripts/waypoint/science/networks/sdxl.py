"""How SDXL's UNet is called: an embedded caption, a pooled one, and six numbers about the image's size.

Everything else in Waypoint knows one tensor for a condition. The pooled caption therefore stands in rows of its own
behind the caption's tokens, filled up with zeros, and is taken off again when the network is called.

The six numbers are height and width, the corner of a crop, and height and width again, as diffusers' pipeline has them
by default: images are neither scaled nor cropped on the way to the network. Its VAE makes sides eight times as short.
"""

from typing import TYPE_CHECKING

from waypoint.errors import WaypointError
from waypoint.science.types import Settings

if TYPE_CHECKING:
    import torch

SHRUNK = 8
SIZES = 6


def is_sdxl(config: Settings) -> bool:
    """Whether a UNet's configuration asks for a pooled caption and for sizes."""
    return config.get("addition_embed_type") == "text_time"


def pooled_width(config: Settings) -> int:
    """Numbers in the pooled caption of a UNet."""
    return config["projection_class_embeddings_input_dim"] - SIZES * config["addition_time_embed_dim"]


def rows_for(width: int, pooled: int) -> int:
    """Rows of a caption ``width`` wide that a pooled one of so many numbers takes."""
    return -(-pooled // width)


def pack(text: "torch.Tensor", pooled: "torch.Tensor") -> "torch.Tensor":
    """Captions (n, token, width) with their pooled ones (n, P) behind them: (n, token + rows, width)."""
    import torch  # planning reads this file too

    width = text.shape[2]
    rows = rows_for(width, pooled.shape[1])
    behind = torch.zeros(len(text), rows * width, dtype=text.dtype, device=text.device)
    behind[:, : pooled.shape[1]] = pooled
    return torch.cat([text, behind.unflatten(1, (rows, width))], 1)


def unpack(condition: "torch.Tensor", pooled: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """What ``pack`` was given.

    Args:
        condition: (n, token + rows, width). pooled: P.

    Raises:
        WaypointError: it has no token beside the pooled caption.
    """
    tokens = condition.shape[1] - rows_for(condition.shape[2], pooled)
    if tokens < 1:
        raise WaypointError(
            f"text_encoder: this network (SDXL) needs a pooled caption of {pooled} numbers beside its tokens; give the "
            "folder of a pipeline that has both text encoders"
        )
    return condition[:, :tokens], condition[:, tokens:].flatten(1)[:, :pooled]


def arguments(config: Settings, x: "torch.Tensor", condition: "torch.Tensor") -> dict[str, object]:
    """What the UNet is called with beside x (B, C, H, W) and t.

    Args:
        config: the UNet's. condition: (B, token + rows, width), from ``pack``.
    """
    import torch

    text, pooled = unpack(condition, pooled_width(config))
    height, width = (SHRUNK * side for side in x.shape[2:])
    sizes = torch.tensor([height, width, 0, 0, height, width], dtype=x.dtype, device=x.device).expand(len(x), SIZES)
    return {"encoder_hidden_states": text, "added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes}}
