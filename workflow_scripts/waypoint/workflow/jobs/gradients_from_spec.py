"""The gradient engine and the projection in a spec, for train features and target gradients alike."""

import importlib

from waypoint.science.curvature import WhitenedProjection
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.hooks import trainable
from waypoint.science.gradients.logra import LoGra
from waypoint.science.projection import PROJECTIONS, Identity
from waypoint.store.zarr.curvature import read_curvature
from waypoint.workflow.bases import BASES


def differentiated(spec, side):
    """Return the function that is differentiated in a spec's basis, on the side "train" or "target"."""
    module, function = getattr(BASES[spec.get("basis", "plain")], side).split(".")
    return getattr(importlib.import_module(f"waypoint.science.{module}"), function)


def mapped_by(curvature):
    """Return the attribute that records the curvature by which gradients were mapped, since others are not comparable.

    Args:
        curvature: an open store, or None.
    """
    return {} if curvature is None else {"mapped_by": curvature.attrs["sha256"]}


def per_example_gradients(spec, checkpoint, unet):
    """Return ``grad`` of Algorithm 1 for one checkpoint, of the spec's kind and precision."""
    settings = spec["gradients"]
    autocast = settings["precision"] == "bfloat16"
    if settings["kind"] == "exact":
        return PerExampleGradients(unet, autocast)
    return LoGra(unet, spec["seed"], checkpoint, settings["rank"], autocast)


def projection(spec, checkpoint, unet, curvature=None):
    """Return P of Algorithm 1 for one checkpoint, preceded by the map of the basis if it has one.

    Args:
        curvature: an open curvature/{checkpoint}.zarr for a basis that whitens, else None.
    """
    settings = spec["projection"]
    if settings["kind"] == "none":
        P = Identity(sum(q.numel() for q in trainable(unet)))
    else:
        P = PROJECTIONS[settings["kind"]](spec["seed"], checkpoint, settings["dim"])
    if curvature is None:
        return P
    whitening = read_curvature(curvature, unet).whitening(spec["curvature"]["damping"])
    return WhitenedProjection(whitening, P)
