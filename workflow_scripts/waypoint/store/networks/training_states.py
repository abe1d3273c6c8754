"""State dicts as training scripts save them: bare, or several in one file, such as {unet, unet_ema, total_steps}."""

from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeGuard, cast

from waypoint.errors import WaypointError
from waypoint.store.networks.weight_files import header_of, read, read_mapping, refuse_other_kinds, shapes

if TYPE_CHECKING:  # planning imports no torch
    from torch import Tensor

StateDict: TypeAlias = "dict[str, Tensor]"
Shapes: TypeAlias = "dict[str, tuple[int, ...]]"
Notes: TypeAlias = tuple[str, ...]  # sentences for the user

FIRST = "conv_in.weight"  # every supported network has it


def state_in(file: Path, weights: str | None = None, values: bool = True) -> "tuple[StateDict | Shapes, Notes]":
    """Read the state dict of a file, {name: tensor}, or {name: shape} without values; return it with notes.

    Args:
        file: of safetensors or torch; only tensors are loaded. weights: "raw" or "ema", if it holds both.

    Raises:
        WaypointError: no state dict, or several without ``weights``; a damaged file; other objects.
    """
    if file.suffix == ".safetensors":
        return (read([file]) if values else shapes([file])), ()
    content, notes = read_mapping(file, "cpu" if values else "meta"), ()
    parts: dict[str, StateDict] = {str(key): q for key, q in content.items() if _is_state(q)}
    parts = {"": content} if _is_state(content) else parts
    if len(parts) == 1 and len(split := _split(next(iter(parts.values())))) > 1:
        parts = split
    if list(parts) == [""]:
        state = parts[""]
    else:
        state, notes = _select(file, parts, weights, content)
    refuse_other_kinds(header_of(state))
    return (state if values else {name: tuple(tensor.shape) for name, tensor in state.items()}), notes


def _is_state(part: object) -> TypeGuard[StateDict]:
    import torch

    entries = cast(dict[object, object], part) if isinstance(part, dict) else {}
    has_names = bool(entries) and all(isinstance(name, str) for name in entries)
    return has_names and all(isinstance(tensor, torch.Tensor) for tensor in entries.values())


def _split(state: StateDict) -> dict[str, StateDict]:
    """Split the state dict of a module of several networks into {prefix: state dict}."""
    prefixes = {name.removesuffix(f".{FIRST}") for name in state if name.endswith(f".{FIRST}")}
    return {
        prefix: {name.removeprefix(f"{prefix}."): q for name, q in state.items() if name.startswith(f"{prefix}.")}
        for prefix in sorted(prefixes)
    }


def _is_average(name: str) -> bool:
    return "ema" in name.lower()


def _select(
    file: Path, parts: dict[str, StateDict], weights: str | None, content: Container[object]
) -> tuple[StateDict, Notes]:
    """Return the state dict to use, and notes on the choice."""
    if not parts and "shadow_params" in content:
        raise WaypointError(
            f"{file} holds EMAModel's averages without their names (shadow_params); store the network with "
            "EMAModel.save_pretrained and name that folder"
        )
    if not parts:
        raise WaypointError(f"{file} holds no state dict, a mapping of names to tensors")
    kinds = {
        "ema": [name for name in parts if _is_average(name)],
        "raw": [name for name in parts if not _is_average(name)],
    }
    listed = ", ".join(parts)
    if weights is None and len(parts) > 1:
        raise WaypointError(f"{file} holds {listed}; say which is meant: checkpoints.weights: ema or raw")
    if weights is not None and len(kinds[weights]) != 1:
        raise WaypointError(
            f"checkpoints.weights: {weights} means no one of what {file} holds ({listed}); save one state "
            "dict by itself"
        )
    name = kinds[weights][0] if weights else next(iter(parts))
    kind = "the exponential average" if _is_average(name) else "the trained weights"
    return parts[name], (f"its weights are {name}, {kind}",)
