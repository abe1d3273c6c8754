"""What evaluations ask of a configuration with defaults: their targets, and how many images and models there are."""

from waypoint.errors import WaypointError


def chosen_targets(config, section):
    """Ids of an evaluation's targets.

    Raises:
        WaypointError: an unknown id, or more targets than there are.
    """
    ids, chosen = [target["id"] for target in config["targets"]], config["evaluation"][section].get("targets")
    where = f"config: evaluation.{section}.targets"
    if chosen is None:
        return ids
    if isinstance(chosen, int):
        if chosen > len(ids):
            raise WaypointError(f"{where}: {chosen} is more than the {len(ids)} targets")
        return ids[:chosen]
    for name in chosen:
        if name not in ids:
            raise WaypointError(f"{where}: {name!r} is no target's id")
    return list(chosen)


def number_of_checkpoints(config) -> int:
    """How many models of the full set there are."""
    given = config["checkpoints"]
    return given["count"] if "count" in given else len(given.get("paths", given.get("adapters", [])))


def number_of_images(config) -> int | None:
    """How many training images are used, where the configuration says it."""
    subset = config["data"] and config["data"]["subset"]
    return len(subset) if isinstance(subset, list) else subset
