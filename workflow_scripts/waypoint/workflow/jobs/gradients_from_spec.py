"""The gradient engine and the projection that a spec asks for, the same for train features and target gradients."""

import importlib

from waypoint.science.curvature import WhitenedProjection
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.hooks import trainable
from waypoint.science.gradients.logra import LoGra
from waypoint.science.projection import PROJECTIONS, Identity
from waypoint.store.zarr.curvature import read_curvature
from waypoint.workflow.bases import BASES


def differentiated(spec, side):
    """The function that is differentiated in the basis of a spec, on the side "train" or "target"."""
    module, function = getattr(BASES[spec.get("basis", "plain")], side).split(".")
    return getattr(importlib.import_module(f"waypoint.science.{module}"), function)


def mapped_by(curvature):
    """The attribute that says by which curvature gradients were mapped: those of another are not comparable.

    Args:
        curvature: an open store, or None.
    """
    return {} if curvature is None else {"mapped_by": curvature.attrs["sha256"]}


def per_example_gradients(spec, checkpoint, unet):
    """``grad`` of Algorithm 1 for one checkpoint: a kind of gradients, and their precision."""
    settings = spec["gradients"]
    autocast = settings["precision"] == "bfloat16"
    if settings["kind"] == "exact":
        return PerExampleGradients(unet, autocast)
    return LoGra(unet, spec["seed"], checkpoint, settings["rank"], autocast)


def projection(spec, checkpoint, unet, curvature=None):
    """P of Algorithm 1 for one checkpoint, after the map of the basis where it has one.

    Args:
        curvature: an open curvature/{checkpoint}.zarr, for a basis that whitens by it.
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
