"""Networks of diffusers filled with stored weights, exactly: by every name and every shape.

diffusers' own loading fills what is missing at random and leaves out what is too much, with a warning each, and prints
errors over kinds of files that it then takes.
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

Said: TypeAlias = tuple[str, ...]  # sentences, to be told
Network = TypeVar("Network", bound="ModelMixin")
Value = TypeVar("Value")  # a tensor, or its shape alone

WRAPPERS = ("_orig_mod.", "module.")  # put before names by torch.compile and DataParallel
AVERAGING = {  # what EMAModel keeps in a network's config.json
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
    """Names of what can make two networks or schedulers of a class differ: the arguments of its ``__init__``."""
    return set(inspect.signature(kind.__init__).parameters) - {"self", "args", "kwargs"}


def known_config(kind: type, file: StrPath) -> tuple[Config, Said]:
    """A stored configuration without the keys that the class does not know, and what to say about it.

    Raises:
        WaypointError: it is damaged.
    """
    stored = read_json(file)
    known = arguments(kind)
    kept = {key: value for key, value in stored.items() if key in known or key.startswith("_")}
    odd = sorted(stored.keys() - kept.keys() - SILENT)
    words = f"the installed diffusers does not know {', '.join(odd)} of {file}; left out"
    return kept, (words,) * bool(odd)


def unfilled(kind: type[Network], config: Attributes) -> Network:
    """A network without values, on the meta device.

    Raises:
        WaypointError: diffusers refuses its configuration.
    """
    import torch

    try:
        with torch.device("meta"):
            return from_config(kind, config)
    except Exception as error:  # each library on the way raises its own kinds
        raise WaypointError(f"cannot be loaded ({error})") from error


def fill(kind: type[Network], config: Attributes, state: "dict[str, Tensor]") -> tuple[Network, Said]:
    """A network with the values of a state dict, float32, in evaluation mode, and what to say about it.

    Args:
        state: {name: tensor}; it is used up.

    Raises:
        WaypointError: as ``require_filled``, or diffusers refuses the configuration.
    """
    from waypoint.patches.lean_diffusers import no_init_weights

    outline = unfilled(kind, config)
    state, said = renamed(outline, state)
    require_filled(outline, state)
    with no_init_weights():
        network = from_config(kind, config)
    network.load_state_dict(state, strict=True)
    return network.eval(), said


def renamed(network: "ModelMixin", state: dict[str, Value]) -> tuple[dict[str, Value], Said]:
    """A state dict, or shapes, under the names of a network, and what to say about it."""
    names = list(state)
    said: list[str] = []
    for wrapper in WRAPPERS:
        # torch.compile may wrap parts of a network, DataParallel the whole
        inside = wrapper == WRAPPERS[0] and any(f".{wrapper}" in f".{name}" for name in names)
        if inside or all(name.startswith(wrapper) for name in names):
            state = {_without(name, wrapper, inside): value for name, value in state.items()}
            names = list(state)
            said.append(f"the names of its weights hold {wrapper}, which is left out")
    wanted = next(iter(network.state_dict()))
    prefixes = {name.removesuffix(wanted) for name in names if name.endswith(f".{wanted}")}
    if len(prefixes) == 1 and all(name.startswith(tuple(prefixes)) for name in names):
        prefix = prefixes.pop()
        state = {name.removeprefix(prefix): value for name, value in state.items()}
        said.append(f"the names of its weights begin with {prefix}, which is left out")
    state = dict(state)
    # names of attention in models of old versions of diffusers
    network._fix_state_dict_keys_on_load(state)  # pyright: ignore[reportPrivateUsage, reportArgumentType]
    return state, tuple(said)


def _without(name: str, wrapper: str, everywhere: bool) -> str:
    return name.replace(wrapper, "") if everywhere else name.removeprefix(wrapper)


def require_filled(network: "ModelMixin", state: "dict[str, Tensor] | dict[str, tuple[int, ...]]") -> None:
    """Refuse weights that do not fill a network exactly.

    Args:
        state: tensors or shapes by name.

    Raises:
        WaypointError: one name that is missing and one that is too much, or a shape that differs.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    missing, more = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if missing or more:
        named = ((missing, "is missing"), (more, "is not wanted"))
        parts = [f"{names[0]} {verb}{_others(names)}" for names, verb in named if names]
        raise WaypointError(f"its weights do not fill its config exactly: {'; '.join(parts)}")
    for name, shape in wanted.items():
        found = tuple(getattr(state[name], "shape", state[name]))
        if found != shape:
            raise WaypointError(
                f"its weights do not fill its config: {name} has the shape {found}, and the config wants {shape}"
            )


def _others(names: list[str]) -> str:
    return f", and {len(names) - 1} more" if len(names) > 1 else ""


def variant_said(weights: weight_files.Weights) -> Said:
    """A sentence about the files of a network's weights, where there is something to say."""
    words = f"only the {weights.variant} variant of its weights is here; its values are computed with in float32"
    return (words,) * bool(weights.variant)


def from_folder(kind: type[Network], folder: Path) -> tuple[Network, Said]:
    """The network in a folder of diffusers, float32, in evaluation mode, and what to say about it.

    Raises:
        WaypointError: damaged, other kinds of weights, or weights that do not fill the network exactly.
    """
    config, said = known_config(kind, folder / "config.json")
    weights = weight_files.find(folder)
    network, more = fill(kind, config, weight_files.read(weights.files))
    return network, (*said, *variant_said(weights), *more)


def same_value(mine: object, theirs: object) -> bool:
    """Whether two values of a configuration mean the same: [8, 8] is 8."""
    a, b = (json.loads(json.dumps(value, default=str)) for value in (mine, theirs))
    if isinstance(a, list) != isinstance(b, list):
        several, one = (a, b) if isinstance(a, list) else (b, a)
        return bool(several) and all(value == one for value in several)
    return a == b
