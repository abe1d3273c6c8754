"""Checks that results can be written: a store may be read-only or belong to somebody else."""

import functools
import os
import pwd
from collections.abc import Iterable
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.types import StrPath


def require_writable(paths: Iterable[StrPath], store: str, count: int) -> None:
    """Refuse a store in which a result or log cannot be written, or an earlier result cannot be moved aside.

    Args:
        paths: results and logs, which need not exist. store: its name in the configuration.
        count: number of planned jobs.

    Raises:
        WaypointError: names the folder, its owner, and what to do.
    """

    @functools.cache
    def may_write(folder: Path) -> bool:
        return os.access(folder, os.W_OK | os.X_OK)

    for path in map(Path, paths):
        # moving a folder needs write access to the folder itself
        moved = path if path.is_dir() and not path.is_symlink() else None
        for folder in filter(None, (moved, existing(path.parent))):
            if not folder.is_dir():
                raise WaypointError(f"{folder} is not a folder, so {path} has no place; move it away")
            if not may_write(folder):
                raise WaypointError(
                    f"{folder} cannot be written{owner(folder)}, and {count} planned jobs would write to this store. "
                    "Nothing was changed. Write to a store of your own, and read what is here: "
                    f"store: [mine, {store}]"
                )


def existing(folder: Path) -> Path:
    """Return a folder, or its nearest existing parent."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def owner(path: StrPath) -> str:
    """Return a clause that names the owner of a path; empty for the user's own, or if the owner has no name."""
    try:
        user = os.stat(path).st_uid
        return "" if user == os.geteuid() else f" (it belongs to {pwd.getpwuid(user).pw_name})"
    except (OSError, KeyError):
        return ""
