"""File names in tables."""

from pathlib import PurePath

from waypoint.store.types import StrPath


def outside(name: StrPath) -> bool:
    """Whether a file name in a table leads out of the folder that the table describes."""
    return PurePath(name).is_absolute() or ".." in PurePath(name).parts
