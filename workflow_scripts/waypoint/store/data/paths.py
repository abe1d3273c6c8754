"""Where the training images are read from, without opening any of them."""

from pathlib import PurePath

from waypoint.errors import WaypointError
from waypoint.store.data.emoji import emoji_paths


def raw_paths(section):
    """Files and folders that the training images are read from, by the config section ``data``; None: not installed."""
    named = [section[key] for key in ("path", "captions") if section[key]]
    return emoji_paths(section) if section["source"] == "emoji" else named


def outside(name):
    """Whether a file's name in a table leads out of the folder that the table is about."""
    return PurePath(name).is_absolute() or ".." in PurePath(name).parts


def require_inside(name, where):
    """Refuse a file's name in a table that leads out of the folder that the table is about.

    Raises:
        WaypointError: an absolute path, or one with '..'.
    """
    if outside(name):
        raise WaypointError(f"{where}: {name} leads out of the folder data.path")
