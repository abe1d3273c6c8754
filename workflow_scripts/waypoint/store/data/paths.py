"""Names of files in tables."""

from pathlib import PurePath

from waypoint.errors import WaypointError


def require_inside(name, where):
    """Refuse a file's name in a table that leads out of the folder that the table is about.

    Raises:
        WaypointError: an absolute path, or one with '..'.
    """
    if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        raise WaypointError(f"{where}: {name} leads out of the folder data.path")
