"""State dicts as training scripts save them: bare, or several in one file, such as {unet, unet_ema, total_steps}."""

from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeGuard, cast

from waypoint.errors import WaypointError
from waypoint.store.networks.weight_files import mapping, read, refuse_other_kinds, shapes

if TYPE_CHECKING:  # planning imports no torch
    from torch import Tensor

StateDict: TypeAlias = "dict[str, Tensor]"
Shapes: TypeAlias = "dict[str, tuple[int, ...]]"
Said: TypeAlias = tuple[str, ...]  # sentences, to be told

FIRST = "conv_in.weight"  # a name that every network of ours has


def state_in(file: Path, weights: str | None = None, values: bool = True) -> "tuple[StateDict | Shapes, Said]":
    """The state dict of a file, {name: tensor}, or without values {name: shape}, and what to say about it.

    Args:
        file: safetensors, or torch's; nothing else than tensors is made. weights: "raw" or "ema" where there are both.

    Raises:
        WaypointError: none, or several and not said which; damaged; other objects.
    """
    if file.suffix == ".safetensors":
        return (read([file]) if values else shapes([file])), ()
    whole, said = mapping(file, "cpu" if values else "meta"), ()
    parts: dict[str, StateDict] = {str(key): q for key, q in whole.items() if _is_state(q)}
    parts = {"": whole} if _is_state(whole) else parts
    if len(parts) == 1 and len(inner := _side_by_side(next(iter(parts.values())))) > 1:
        parts = inner
    if list(parts) == [""]:
        found = parts[""]
    else:
        found, said = _chosen(file, parts, weights, whole)
    refuse_other_kinds(list(found))
    return (found if values else {name: tuple(tensor.shape) for name, tensor in found.items()}), said


def _is_state(part: object) -> TypeGuard[StateDict]:
    import torch

    entries = cast(dict[object, object], part) if isinstance(part, dict) else {}
    named = bool(entries) and all(isinstance(name, str) for name in entries)
    return named and all(isinstance(tensor, torch.Tensor) for tensor in entries.values())


def _side_by_side(state: StateDict) -> dict[str, StateDict]:
    """{prefix: state dict} of several networks in one state dict, as a module of modules has them."""
    named = {name.removesuffix(f".{FIRST}") for name in state if name.endswith(f".{FIRST}")}
    return {
        prefix: {name.removeprefix(f"{prefix}."): q for name, q in state.items() if name.startswith(f"{prefix}.")}
        for prefix in sorted(named)
    }


def _averaged(name: str) -> bool:
    return "ema" in name.lower()


def _chosen(
    file: Path, parts: dict[str, StateDict], weights: str | None, whole: Container[object]
) -> tuple[StateDict, Said]:
    """The state dict that is meant, and what to say about it."""
    if not parts and "shadow_params" in whole:
        raise WaypointError(
            f"{file} holds EMAModel's averages without their names (shadow_params); store the network with "
            "EMAModel.save_pretrained and name that folder"
        )
    if not parts:
        raise WaypointError(f"{file} holds no state dict, a mapping of names to tensors")
    kinds = {"ema": [name for name in parts if _averaged(name)], "raw": [name for name in parts if not _averaged(name)]}
    listed = ", ".join(parts)
    if weights is None and len(parts) > 1:
        raise WaypointError(f"{file} holds {listed}; say which is meant: checkpoints.weights: ema or raw")
    if weights is not None and len(kinds[weights]) != 1:
        raise WaypointError(
            f"checkpoints.weights: {weights} means no one of what {file} holds ({listed}); save one state "
            "dict by itself"
        )
    name = kinds[weights][0] if weights else next(iter(parts))
    kind = "the exponential average" if _averaged(name) else "the trained weights"
    return parts[name], (f"its weights are {name}, {kind}",)
