"""State dicts from files that may not be trusted, and networks that they fill exactly."""

from pathlib import Path

from waypoint.errors import WaypointError

COUNTER = "num_batches_tracked"  # of batch norms; no output in evaluation mode depends on it


def read_state(path, key):
    """The tensors {name: tensor} of a safetensors or torch file; pickled objects are never executed.

    Raises:
        WaypointError: unreadable, or no state dict; names ``key`` and the file.
    """
    import torch
    from safetensors.torch import load_file

    try:
        if Path(path).suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds over a file that is not what it should be
        raise WaypointError(f"{key}: {path} cannot be read as a state dict ({error})") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise WaypointError(f"{key}: {path} holds no state dict, a mapping of names to tensors")
    return dict(state)


def load_in_order(network, heads, state, what):
    """Fill a network with all the tensors of ``state``: by name, or in order where names differ but shapes agree.

    Batch norms' counters are left out on both sides. So is what is loaded into ``heads``, modules that will be
    replaced: their shapes may differ (another number of classes).

    Args:
        what: names the file in errors.

    Raises:
        WaypointError: tensors are left over or missing, or their shapes differ.
    """
    own = {name: q for name, q in network.state_dict().items() if not name.endswith(COUNTER)}
    given = {name: q for name, q in state.items() if not name.endswith(COUNTER)}
    replaced = {name for name in own if name.startswith(tuple(f"{head}." for head in heads))}
    kept = own.keys() - replaced
    if kept <= given.keys() <= own.keys():
        pairs = {name: (name, given[name]) for name in own if name in given}
    elif len(own) == len(given):
        pairs = {name: item for name, item in zip(own, given.items())}
    else:
        raise WaypointError(f"{what} does not fit the network: {_difference(kept, own, given)}")
    for name in (name for name in own if name in kept):
        other, tensor = pairs[name]
        if tensor.shape != own[name].shape:
            shapes = f"{tuple(tensor.shape)} against {tuple(own[name].shape)}"
            raise WaypointError(f"{what} does not fit the network: {other} is no {name}: {shapes}")
    network.load_state_dict({name: pairs[name][1] for name in kept}, strict=False)


def _difference(kept, own, given):
    for names, verb in ((sorted(kept - given.keys()), "it lacks"), (sorted(given.keys() - own.keys()), "it has also")):
        if names:
            return f"{verb} {', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
