"""Evaluated targets and the numbers of images and models, from a complete configuration."""

from waypoint.errors import WaypointError


def chosen_targets(config, section):
    """Return the ids of an evaluation's targets.

    Raises:
        WaypointError: an unknown id, or more targets than there are.
    """
    ids, setting = [target["id"] for target in config["targets"]], config["evaluation"][section].get("targets")
    prefix = f"config: evaluation.{section}.targets"
    if setting is None:
        return ids
    if isinstance(setting, int):
        if setting > len(ids):
            raise WaypointError(f"{prefix}: {setting} is more than the {len(ids)} targets")
        return ids[:setting]
    for name in setting:
        if name not in ids:
            raise WaypointError(f"{prefix}: {name!r} is not a target's id")
    return list(setting)


def number_of_checkpoints(config) -> int:
    """Return the number of models of the full set."""
    section = config["checkpoints"]
    return section["count"] if "count" in section else len(section.get("paths", section.get("adapters", [])))


def number_of_images(config) -> int | None:
    """Return the number of training images if the configuration states it, else None."""
    subset = config["data"] and config["data"]["subset"]
    return len(subset) if isinstance(subset, list) else subset
