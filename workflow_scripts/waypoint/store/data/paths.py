"""Names of files in tables."""

from pathlib import PurePath


def outside(name):
    """Whether a file's name in a table leads out of the folder that the table is about."""
    return PurePath(name).is_absolute() or ".." in PurePath(name).parts
