"""Existing models against the experiment that takes them: the same network, the same schedule, fitting encoders."""

from waypoint.store.networks import checkpoints


def require_wanted(denoiser, path, model, reference, changed):
    """Refuse a given model whose configuration is not the experiment's, or the first given model's.

    Args:
        model: the section ``model`` of the configuration, or None. reference: the place of the first model, or None.
        changed: keyword arguments of ``checkpoints.load``, the same for all models.

    Raises:
        WaypointError: as ``checkpoints.require_same``.
    """
    if model is not None:
        checkpoints.require_same(denoiser, checkpoints.outline_of(model), path, "config: model")
    elif reference not in (None, path):
        checkpoints.require_same(denoiser, checkpoints.outline(reference, **changed), path, reference)
