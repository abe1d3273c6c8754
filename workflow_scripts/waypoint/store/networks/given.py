"""Existing models against the experiment that takes them."""

from waypoint.store.networks import checkpoints


def wanted(model, reference, changed):
    """What given models are compared with, as an outline with its name; None where there is nothing.

    Args:
        model: the section ``model`` of the configuration, or None. reference: the place of the first model, or None.
        changed: keyword arguments of ``checkpoints.load``, the same for all models.

    Raises:
        WaypointError: as ``checkpoints.outline_of`` and ``checkpoints.outline``.
    """
    if model is not None:
        return checkpoints.outline_of(model), "config: model"
    return None if reference is None else (checkpoints.outline(reference, **changed), reference)


def fit(denoiser, same, name, changed):
    """Compare a model with what is wanted; under ``sampler: ddpm`` it takes the sampling grid of that.

    Args:
        same: from ``wanted``. changed: as there.

    Returns:
        What to say about it, a list of str.

    Raises:
        WaypointError: as ``checkpoints.require_same``.
    """
    if same is None:
        return []
    adopted = []
    if changed.get("sampler") == "ddpm":
        adopted = checkpoints.adopt_grid(denoiser, *same)
    checkpoints.require_same(denoiser, same[0], name, same[1])
    return adopted
