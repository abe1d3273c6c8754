"""Fill networks of diffusers with stored weights whose names and shapes match exactly.

diffusers' own loading only warns when it fills missing weights at random or drops unknown ones, and it prints errors
about kinds of files that it then accepts.
"""

# diffusers is partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from waypoint.errors import WaypointError
from waypoint.store.networks import weight_files
from waypoint.store.networks.layouts import read_json
from waypoint.store.networks.typed_diffusers import from_config
from waypoint.store.types import Attributes, Config, StrPath

if TYPE_CHECKING:
    from diffusers.models.modeling_utils import ModelMixin
    from torch import Tensor

Notes: TypeAlias = tuple[str, ...]  # sentences for the user
Network = TypeVar("Network", bound="ModelMixin")
Value = TypeVar("Value")  # a tensor, or its shape alone

WRAPPERS = ("_orig_mod.", "module.")  # prefixes of names from torch.compile and DataParallel
AVERAGING = {  # keys that EMAModel adds to a network's config.json
    "decay",
    "min_decay",
    "optimization_step",
    "update_after_step",
    "use_ema_warmup",
    "inv_gamma",
    "power",
}
SILENT = AVERAGING | {"torch_dtype", "dtype"}


def arguments(kind: type) -> set[str]:
    """Return the names of the arguments of a class's ``__init__``, in which its networks or schedulers can differ."""
    return set(inspect.signature(kind.__init__).parameters) - {"self", "args", "kwargs"}


def known_config(kind: type, file: StrPath) -> tuple[Config, Notes]:
    """Read a configuration without the keys that the class does not know; return it with notes on these keys.

    Raises:
        WaypointError: the file is damaged.
    """
    stored = read_json(file)
    known_keys = arguments(kind)
    config = {key: value for key, value in stored.items() if key in known_keys or key.startswith("_")}
    unknown_keys = sorted(stored.keys() - config.keys() - SILENT)
    note = f"the installed diffusers does not know {', '.join(unknown_keys)} of {file}; left out"
    return config, (note,) * bool(unknown_keys)


def build_unfilled(kind: type[Network], config: Attributes) -> Network:
    """Build a network on the meta device, without values.

    Raises:
        WaypointError: diffusers refuses its configuration.
    """
    import torch

    try:
        with torch.device("meta"):
            return from_config(kind, config)
    except Exception as error:  # every library involved raises exceptions of its own
        raise WaypointError(f"cannot be loaded ({error})") from error


def fill(kind: type[Network], config: Attributes, state: "dict[str, Tensor]") -> tuple[Network, Notes]:
    """Build a network with the values of a state dict, float32, in evaluation mode; return it with notes.

    Args:
        state: {name: tensor}.

    Raises:
        WaypointError: as ``require_filled`` and ``weight_files.require_finite``; diffusers refuses the configuration.
    """
    from waypoint.patches.lean_diffusers import no_init_weights

    outline = build_unfilled(kind, config)
    state, notes = rename(outline, state)
    require_filled(outline, state)
    with no_init_weights():
        network = from_config(kind, config)
    network.load_state_dict(state, strict=True)
    weight_files.require_finite(network)
    return network.eval(), notes


def rename(network: "ModelMixin", state: dict[str, Value]) -> tuple[dict[str, Value], Notes]:
    """Rename a state dict, or shapes, to the names of a network; return it with notes on the changes."""
    names = list(state)
    notes: list[str] = []
    for wrapper in WRAPPERS:
        # torch.compile may wrap parts of a network, DataParallel only the whole
        inside = wrapper == WRAPPERS[0] and any(f".{wrapper}" in f".{name}" for name in names)
        if inside or all(name.startswith(wrapper) for name in names):
            state = {_unwrap(name, wrapper, inside): value for name, value in state.items()}
            names = list(state)
            notes.append(f"the names of its weights hold {wrapper}, which is left out")
    first = next(iter(network.state_dict()))
    prefixes = {name.removesuffix(first) for name in names if name.endswith(f".{first}")}
    if len(prefixes) == 1 and all(name.startswith(tuple(prefixes)) for name in names):
        prefix = prefixes.pop()
        state = {name.removeprefix(prefix): value for name, value in state.items()}
        notes.append(f"the names of its weights begin with {prefix}, which is left out")
    state = dict(state)
    # old versions of diffusers have other names for attention
    network._fix_state_dict_keys_on_load(state)  # pyright: ignore[reportPrivateUsage, reportArgumentType]
    return state, tuple(notes)


def _unwrap(name: str, wrapper: str, everywhere: bool) -> str:
    return name.replace(wrapper, "") if everywhere else name.removeprefix(wrapper)


def require_filled(network: "ModelMixin", state: "dict[str, Tensor] | dict[str, tuple[int, ...]]") -> None:
    """Refuse weights that do not fill a network exactly.

    Args:
        state: tensors or shapes by name.

    Raises:
        WaypointError: names a missing and an unexpected weight, or a shape that differs.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    missing, unexpected = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or unexpected:
        problems = ((missing, "is missing"), (unexpected, "is unexpected"))
        parts = [f"{names[0]} {verb}{_others(names)}" for names, verb in problems if names]
        raise WaypointError(f"its weights do not fill its config exactly: {'; '.join(parts)}")
    for name, shape in expected.items():
        actual = tuple(getattr(state[name], "shape", state[name]))
        if actual != shape:
            raise WaypointError(
                f"its weights do not fill its config: {name} has the shape {actual}, and the config wants {shape}"
            )


def _others(names: list[str]) -> str:
    return f", and {len(names) - 1} more" if len(names) > 1 else ""


def variant_notes(weights: weight_files.Weights) -> Notes:
    """Return a note if only a variant of a network's weights is stored."""
    note = f"only the {weights.variant} variant of its weights is here; its values are computed with in float32"
    return (note,) * bool(weights.variant)


def from_folder(kind: type[Network], folder: Path) -> tuple[Network, Notes]:
    """Load the network in a diffusers folder, float32, in evaluation mode; return it with notes.

    Raises:
        WaypointError: the weights are damaged, of another kind, or do not fill the network exactly.
    """
    config, notes = known_config(kind, folder / "config.json")
    weights = weight_files.find(folder)
    network, fill_notes = fill(kind, config, weight_files.read(weights.files))
    return network, (*notes, *variant_notes(weights), *fill_notes)


def same_value(first: object, second: object) -> bool:
    """Return whether two values of a configuration mean the same: [8, 8] is 8."""
    a, b = (json.loads(json.dumps(value, default=str)) for value in (first, second))
    if isinstance(a, list) != isinstance(b, list):
        values, single = (a, b) if isinstance(a, list) else (b, a)
        return bool(values) and all(value == single for value in values)
    return a == b
