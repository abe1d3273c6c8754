"""Read state dicts from untrusted files, and fill networks with them exactly."""

# some of safetensors' types are unknown
# pyright: reportUnknownVariableType=false

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, cast

from waypoint.errors import WaypointError
from waypoint.store.types import StrPath

if TYPE_CHECKING:  # planning imports no torch
    import torch
    from torch import nn

COUNTER = "num_batches_tracked"  # in batch norms; no output in evaluation mode depends on it


def read_state(path: StrPath, key: str) -> "dict[str, torch.Tensor]":
    """Read the tensors by name in a safetensors or torch file; pickled code is never run.

    Raises:
        WaypointError: the file cannot be read or holds no state dict; names ``key`` and the file.
    """
    import torch
    from safetensors.torch import load_file

    try:
        if Path(path).suffix == ".safetensors":
            return load_file(path)
        state: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds of exceptions for unexpected files
        raise WaypointError(f"{key}: {path} cannot be read as a state dict ({error})") from error
    tensors = cast(dict[str, object], state) if isinstance(state, dict) else {}
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in tensors.values()):
        raise WaypointError(f"{key}: {path} holds no state dict, a mapping of names to tensors")
    return {name: tensor for name, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}


def load_in_order(network: "nn.Module", heads: Sequence[str], state: "Mapping[str, torch.Tensor]", label: str) -> None:
    """Fill a network with all the tensors of ``state``: by name, or in order where names differ but shapes agree.

    Counters of batch norms are ignored on both sides, and so are the tensors of ``heads``, modules that will be
    replaced: their shapes may differ (another number of classes).

    Args:
        label: the file's name in errors.

    Raises:
        WaypointError: tensors are left over or missing, or their shapes differ.
    """
    expected = {name: q for name, q in network.state_dict().items() if not name.endswith(COUNTER)}
    stored = {name: q for name, q in state.items() if not name.endswith(COUNTER)}
    replaced = {name for name in expected if name.startswith(tuple(f"{head}." for head in heads))}
    required = expected.keys() - replaced
    if required <= stored.keys() <= expected.keys():
        pairs = {name: (name, stored[name]) for name in expected if name in stored}
    elif len(expected) == len(stored):
        pairs = {name: item for name, item in zip(expected, stored.items())}
    else:
        raise WaypointError(
            f"{label} does not fit the network: {_difference(required, expected.keys(), stored.keys())}"
        )
    for name in (name for name in expected if name in required):
        other, tensor = pairs[name]
        if tensor.shape != expected[name].shape:
            shapes = f"{tuple(tensor.shape)} against {tuple(expected[name].shape)}"
            raise WaypointError(f"{label} does not fit the network: {other} is no {name}: {shapes}")
    network.load_state_dict({name: pairs[name][1] for name in required}, strict=False)


def _difference(required: Set[str], expected: Set[str], stored: Set[str]) -> str:
    names, verb = (
        (sorted(required - stored), "it lacks") if required - stored else (sorted(stored - expected), "it has also")
    )
    return f"{verb} {', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
