"""Compares existing models with the experiment that uses them."""

from collections.abc import Mapping

from waypoint.science.processes.ddpm import Denoiser
from waypoint.store.networks import checkpoints
from waypoint.store.types import Attributes


def wanted(
    model: Attributes | None, reference: str | None, changed: Mapping[str, str | None]
) -> tuple[Denoiser, str] | None:
    """The outline with which existing models are compared, and its name; None where there is nothing to compare.

    Args:
        model: the section ``model`` of the configuration, or None. reference: the path of the first model, or None.
        changed: keyword arguments of ``checkpoints.load``, the same for all models.

    Raises:
        WaypointError: as ``checkpoints.outline_of`` and ``checkpoints.outline``.
    """
    if model is not None:
        return checkpoints.outline_of(model), "config: model"
    return None if reference is None else (checkpoints.outline(reference, **changed), reference)


def fit(
    denoiser: Denoiser, same: tuple[Denoiser, str] | None, name: str, changed: Mapping[str, str | None]
) -> list[str]:
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
    adopted: list[str] = []
    if changed.get("sampler") == "ddpm":
        adopted = checkpoints.adopt_grid(denoiser, *same)
    checkpoints.require_same(denoiser, same[0], name, same[1])
    return adopted
