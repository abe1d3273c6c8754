"""The gradient engine and the projection that a spec asks for, the same for train features and target gradients."""

from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.logra import LoGra
from waypoint.science.projection import PROJECTIONS


def per_example_gradients(spec, checkpoint, unet):
    """``grad`` of Algorithm 1 for one checkpoint: a kind of gradients, and their precision."""
    settings = spec["gradients"]
    autocast = settings["precision"] == "bfloat16"
    if settings["kind"] == "exact":
        return PerExampleGradients(unet, autocast)
    return LoGra(unet, spec["seed"], checkpoint, settings["rank"], autocast)


def projection(spec, checkpoint):
    """P of Algorithm 1 for one checkpoint."""
    return PROJECTIONS[spec["projection"]["kind"]](spec["seed"], checkpoint, spec["projection"]["dim"])
