"""State dicts as training scripts save them: bare, or several in one file, such as {unet, unet_ema, total_steps}."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, cast

from waypoint.errors import WaypointError
from waypoint.store.networks.weight_files import header_of, read, read_mapping, refuse_other_kinds, shapes

if TYPE_CHECKING:  # planning imports no torch
    from torch import Tensor

StateDict: TypeAlias = "dict[str, Tensor]"
Shapes: TypeAlias = "dict[str, tuple[int, ...]]"
Notes: TypeAlias = tuple[str, ...]  # sentences for the user

FIRST = "conv_in.weight"  # every supported network has it
AVERAGE = re.compile(r"(?<![a-z])ema|ema(?![a-z])")  # in a name of small letters: unet_ema, but not remaining
COUNTERS = {"n_averaged", "initted", "step"}  # beside the weights in AveragedModel and ema_pytorch


def state_in(file: Path, weights: str | None = None, values: bool = True) -> "tuple[StateDict | Shapes, Notes]":
    """Read the state dict of a file, {name: tensor}, or {name: shape} without values; return it with notes.

    Args:
        file: of safetensors or torch; only tensors are loaded. weights: "raw" or "ema", if it holds both.

    Raises:
        WaypointError: no state dict, or several without ``weights``; a damaged file; other objects.
    """
    if file.suffix == ".safetensors":
        bare: Any = read([file]) if values else shapes([file])
        parts, content = _parts_of(bare), bare
    else:
        content = read_mapping(file, "cpu" if values else "meta")
        parts = _parts_of(content) if _is_state(content) else _nested(content)
        # names of another network, which are refused by these names
        parts = parts or {str(key): part for key, part in content.items() if _is_state(part)}
    notes: Notes = ()
    if list(parts) == [""]:
        state = parts[""]
    else:
        state, notes = _select(file, parts, weights, content)
    state = _without_counters(state)
    # the types in a file of safetensors have been looked at when it was read
    refuse_other_kinds(list(state) if file.suffix == ".safetensors" else header_of(state))
    if values:
        return state, notes
    sizes: Shapes = {name: cast("tuple[int, ...]", tuple(getattr(q, "shape", q))) for name, q in state.items()}
    return sizes, notes


def _nested(content: dict[object, object]) -> dict[str, StateDict]:
    """Return {name: state dict} of the networks in a mapping, also in mappings of it that hold no tensors themselves.

    Mappings of other tensors, such as a gradient's scale or an optimizer's state, are left out.
    """
    states = {str(key): _parts_of(part) for key, part in content.items() if _is_state(part)}
    networks = {key: inside for key, inside in states.items() if any(map(_is_network, inside.values()))}
    inner = {
        f"{key}.{name}": state
        for key, part in content.items()
        if isinstance(part, dict) and not _is_state(cast(object, part))
        for name, state in _nested(cast("dict[object, object]", part)).items()
    }
    if not inner and len(networks) == 1 and len(inside := next(iter(networks.values()))) > 1:
        return inside
    parts: dict[str, StateDict] = {}
    for key, inside in networks.items():
        averages = [state for name, state in inside.items() if _is_average(name)]
        if len(inside) > 1 and _is_average(key) and len(averages) == 1:
            inside = {"": averages[0]}  # of ema_pytorch: the trained weights in it are also beside it
        parts |= {f"{key}.{name}".rstrip("."): state for name, state in inside.items()}
    return parts | inner


def _parts_of(state: StateDict) -> dict[str, StateDict]:
    """Return the state dicts of several networks in one, {prefix: state dict}, or {"": state} if there is one."""
    split = _split(state)
    return split if len(split) > 1 else {"": state}


def _is_network(state: StateDict) -> bool:
    return any(name == FIRST or name.endswith(f".{FIRST}") for name in state)


def _without_counters(state: StateDict) -> StateDict:
    """Leave out what AveragedModel and ema_pytorch count beside the weights."""
    return {name: q for name, q in state.items() if name not in COUNTERS}


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
    return bool(AVERAGE.search(name.lower()))


def _has_shadow(content: object) -> bool:
    """Return whether a file holds the state of diffusers' EMAModel, which has no names."""
    if not isinstance(content, dict):
        return False
    entries = cast("dict[object, object]", content)
    return "shadow_params" in entries or any(map(_has_shadow, entries.values()))


def _select(file: Path, parts: dict[str, StateDict], weights: str | None, content: object) -> tuple[StateDict, Notes]:
    """Return the state dict to use, and notes on the choice."""
    if _has_shadow(content) and (weights == "ema" or not parts) and not any(map(_is_average, parts)):
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
