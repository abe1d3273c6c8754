"""The declaration of a kind of network; every file in the folder ``kinds`` defines one as ``NETWORK``.

Planning also imports these files, so they import no model library at module level.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from waypoint.science.types import Settings

if TYPE_CHECKING:
    import torch

Keyword: TypeAlias = Literal["class_labels", "encoder_hidden_states"] | None


@dataclass(frozen=True)
class Network:
    """How a diffusers class is recognised, checked and called.

    ``config`` is always a network's configuration, as a mapping.

    Attributes:
        name, module: of the class, and of its module within diffusers.
        channels: diffusers' default for in_channels and out_channels.
        is_new: (config section ``model.unet``) → whether it describes such a network; true for exactly one kind.
        conditioned_by: (config) → the argument that takes the condition; None if there is none.
        arguments: (config, x, condition) → further arguments of a call, besides x (B, C, H, W) and the steps.
        pipeline: (config) → the name of the diffusers pipeline that loads it.
        check: (config) → raises ``WaypointError`` for conditions that Waypoint does not support.
        keys, blocks: configuration keys and block types that no other kind has.
        label, qualifier: its name in messages, and the words that identify it after "a network".
        old_size: cells per side that old versions of its pipeline used if the configuration has fewer, or None.
    """

    name: str
    module: str
    channels: int
    is_new: Callable[[Settings], bool]
    conditioned_by: Callable[[Settings], Keyword]
    arguments: "Callable[[Settings, torch.Tensor, torch.Tensor | None], dict[str, object]]"
    pipeline: Callable[[Settings], str]
    check: Callable[[Settings], None]
    keys: frozenset[str]
    blocks: frozenset[str]
    label: str
    qualifier: str
    old_size: int | None = None
