"""Compare existing models with the experiment that uses them."""

from collections.abc import Mapping

from waypoint.science.processes.ddpm import Denoiser
from waypoint.store.networks import checkpoints
from waypoint.store.types import Attributes


def wanted(
    model: Attributes | None, reference: str | None, options: Mapping[str, str | None]
) -> tuple[Denoiser, str] | None:
    """Return the outline that existing models are compared with, and its name; None if there is nothing to compare.

    Args:
        model: the section ``model`` of the configuration, or None. reference: the path of the first model, or None.
        options: keyword arguments of ``checkpoints.load``, the same for all models.

    Raises:
        WaypointError: as ``checkpoints.outline_of`` and ``checkpoints.outline``.
    """
    if model is not None:
        return checkpoints.outline_of(model), "config: model"
    return None if reference is None else (checkpoints.outline(reference, **options), reference)


def fit(
    denoiser: Denoiser, reference: tuple[Denoiser, str] | None, name: str, options: Mapping[str, str | None]
) -> list[str]:
    """Compare a model with the reference; under ``sampler: ddpm`` it adopts the reference's sampling grid.

    Args:
        reference: from ``wanted``. options: as there.

    Returns:
        Notes on what was adopted, a list of str.

    Raises:
        WaypointError: as ``checkpoints.require_same``.
    """
    if reference is None:
        return []
    notes: list[str] = []
    if options.get("sampler") == "ddpm":
        notes = checkpoints.adopt_grid(denoiser, *reference)
    checkpoints.require_same(denoiser, reference[0], name, reference[1])
    return notes
