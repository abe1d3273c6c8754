"""Checks of the section ``groups`` that do not need the training images."""

from waypoint.errors import WaypointError
from waypoint.store.data.group_members import read_list


def check_groups(config):
    """Refuse a section without groups, unreadable lists, and neighbours by an unknown encoder.

    Raises:
        WaypointError: names the key.
    """
    groups = config["groups"]
    if groups is None:
        return
    if not groups["files"] and groups["by"] is None:
        raise WaypointError("config: groups: there is no group; give groups.files or groups.by")
    for name, path in groups["files"].items():
        read_list(path, f"config: groups.files.{name}")
    if groups["by"] == "group" and config["data"]["captions"] is None:
        raise WaypointError("config: groups.by: group needs a table with the column group as data.captions")
    encoder = groups["neighbours"]
    if encoder == "pixels":
        return
    if encoder not in config["image_encoders"]:
        raise WaypointError(f"config: groups.neighbours: {encoder!r} is not a name in image_encoders; or use pixels")
    if encoder not in config["methods"]:
        raise WaypointError(
            f"config: groups.neighbours: {encoder} is not among the methods, or its weights are missing, so that the "
            "training images are not embedded; add it to methods, or use pixels"
        )
