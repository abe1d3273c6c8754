"""Lock files in folders that several users may share."""

import contextlib
import os

from waypoint.errors import WaypointError
from waypoint.store.artifacts.permissions import existing, owner


def made_lock(folder):
    """Open a folder's lock file, creating both if necessary.

    Another user's file is opened for reading, which suffices for locking.

    Raises:
        WaypointError: it cannot be opened, or the folder is not writable; names the file and what to do.
        FileNotFoundError: another process has just removed the folder.
    """
    path = folder / "lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except PermissionError:
        raise _foreign_error(existing(folder)) from None
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        raise _foreign_error(folder)
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        with contextlib.suppress(PermissionError):
            return open(os.open(path, flags, 0o666), "rb")
    raise _foreign_error(path)


def _foreign_error(path):
    """Return the error for a file or folder of another user."""
    return WaypointError(
        f"{path} cannot be written{owner(path)}: it holds the state of an unfinished job. When no job of theirs runs, "
        f"ask them to remove it; or write to a store of your own (store: [mine, …])"
    )
