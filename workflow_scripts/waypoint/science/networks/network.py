"""What one kind of network declares: each is a file of the folder ``kinds`` with ``NETWORK`` in it.

Planning reads these files too, so that none imports a model library while it is imported itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from waypoint.science.types import Settings

if TYPE_CHECKING:
    import torch

Keyword: TypeAlias = Literal["class_labels", "encoder_hidden_states"] | None


@dataclass(frozen=True)
class Network:
    """How a class of diffusers is told from others, checked, and called.

    ``config`` is always a network's configuration, as a mapping.

    Attributes:
        name, module: of the class, and of its file within diffusers.
        channels: diffusers' default of in_channels and out_channels.
        is_new: (config section ``model.unet``) → whether it describes such a network; exactly one kind says so.
        conditioned_by: (config) → the argument by which it takes its condition, None for none.
        arguments: (config, x, condition) → what it is called with beside x (B, C, H, W) and the steps.
        pipeline: (config) → the name of diffusers' pipeline that opens it.
        check: (config) → refuses by ``WaypointError`` conditions that Waypoint does not have.
        keys, blocks: that no other kind has. called, told: its name in messages, alone or after "a network".
        old_size: cells that old versions of its pipeline worked at where the configuration says less, or None.
    """

    name: str
    module: str
    channels: int
    is_new: Callable[[Settings], bool]
    conditioned_by: Callable[[Settings], Keyword]
    arguments: "Callable[[Settings, torch.Tensor, torch.Tensor | None], dict[str, Any]]"
    pipeline: Callable[[Settings], str]
    check: Callable[[Settings], None]
    keys: frozenset[str]
    blocks: frozenset[str]
    called: str
    told: str
    old_size: int | None = None
