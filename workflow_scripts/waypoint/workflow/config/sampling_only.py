"""Experiments without training images: existing models are only sampled from; nothing is trained or attributed."""

from waypoint.errors import WaypointError
from waypoint.workflow.evaluations.registry import EVALUATIONS

SECTIONS = (
    "methods",
    "training",
    "features",
    "gradients",
    "projection",
    "curvature",
    "kernel",
    "scores",
    "pixel",
    "groups",
)


def refuse_what_needs_data(config):
    """Refuse settings, before defaults are filled in, that do not apply without the section ``data``.

    Raises:
        WaypointError: names the first such key.
    """
    if not {"paths", "adapters"} & config["checkpoints"].keys():
        raise WaypointError(
            "config: data is missing: only checkpoints.paths and checkpoints.adapters, existing models, need no "
            "training images"
        )
    evaluation = config.get("evaluation", {})
    keys = [key for key in SECTIONS if key in config]
    names = [name for name, declaration in EVALUATIONS.items() if "data" in declaration.needs]
    keys += [f"evaluation.{name}" for name in names if evaluation.get(name) is not None]
    keys += ["tables.images"] if (config.get("tables") or {}).get("images") else []
    keys += ["vae.train"] if "train" in (config.get("vae") or {}) else []
    for key in ("mask", "image"):
        keys += [f"targets[{i}].{key}" for i, target in enumerate(config["targets"]) if key in target]
    if keys:
        raise WaypointError(f"config: {keys[0]} needs training images: the section data; leave it out, or add that")
