"""State dicts as training scripts save them: bare, or several in one file, such as {unet, unet_ema, total_steps}."""

from waypoint.errors import WaypointError
from waypoint.store.networks.weight_files import mapping, read, refuse_other_kinds, shapes


def state_in(file, weights=None, values=True):
    """The state dict of a file, {name: tensor}, or without values {name: shape}, and what to say about it.

    Args:
        file: safetensors, or torch's; nothing else than tensors is made. weights: "raw" or "ema" where there are both.

    Raises:
        WaypointError: none, or several and not said which; damaged; other objects.
    """
    import torch

    if file.suffix == ".safetensors":
        return (read([file]) if values else shapes([file])), ()
    found = mapping(file, "cpu" if values else "meta")
    said = ()
    if not _is_state(found):
        name = _chosen(file, {name: part for name, part in found.items() if _is_state(part)}, weights)
        kind = "the exponential average" if _averaged(name) else "the trained weights"
        found, said = found[name], (f"its weights are {name}, {kind}",)
    refuse_other_kinds(list(found))
    tensors = {name: tensor for name, tensor in found.items() if isinstance(tensor, torch.Tensor)}
    return (tensors if values else {name: tuple(tensor.shape) for name, tensor in tensors.items()}), said


def _is_state(part):
    import torch

    named = isinstance(part, dict) and part and all(isinstance(name, str) for name in part)
    return bool(named) and all(isinstance(tensor, torch.Tensor) for tensor in part.values())


def _averaged(name):
    return "ema" in name.lower()


def _chosen(file, parts, weights):
    """The name of the state dict that is meant."""
    if not parts:
        raise WaypointError(f"{file} holds no state dict, a mapping of names to tensors")
    kinds = {"ema": [name for name in parts if _averaged(name)], "raw": [name for name in parts if not _averaged(name)]}
    if weights is None and len(parts) == 1:
        return next(iter(parts))
    listed = ", ".join(parts)
    if weights is None:
        raise WaypointError(f"{file} holds {listed}; say which is meant: checkpoints.weights: ema or raw")
    if len(kinds[weights]) != 1:
        raise WaypointError(
            f"checkpoints.weights: {weights} means no one of what {file} holds ({listed}); save one state dict "
            "by itself"
        )
    return kinds[weights][0]
