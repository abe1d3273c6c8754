"""Whether results may be put where they belong: somebody else's store, or one on a read-only disk, says no."""

import functools
import os
import pwd
from pathlib import Path

from waypoint.errors import WaypointError


def require_writable(paths, store, count):
    """Refuse a store in which a result or log cannot be put in its place, or an earlier result moved out of it.

    Args:
        paths: of results and logs, there or not. store: what the config calls the store. count: of the planned jobs.

    Raises:
        WaypointError: names the folder, whose it is, and what to do.
    """
    may = functools.cache(lambda folder: os.access(folder, os.W_OK | os.X_OK))
    for path in map(Path, paths):
        # a folder that is moved elsewhere is itself written to
        moved = path if path.is_dir() and not path.is_symlink() else None
        for folder in filter(None, (moved, existing(path.parent))):
            if not folder.is_dir():
                raise WaypointError(f"{folder} is no folder, so that {path} has no place; move it away")
            if not may(folder):
                raise WaypointError(
                    f"{folder} cannot be written{owner(folder)}, and {count} planned jobs would write to this store. "
                    "Nothing was changed. Write to a store of your own, and read what is here: "
                    f"store: [mine, {store}]"
                )


def existing(folder):
    """A folder, or the nearest one above it that is there."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def owner(path):
    """Whose a path is, as a part of a sentence; nothing where it is one's own or nobody's that has a name."""
    try:
        user = os.stat(path).st_uid
        return "" if user == os.geteuid() else f" (it belongs to {pwd.getpwuid(user).pw_name})"
    except (OSError, KeyError):
        return ""
