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
