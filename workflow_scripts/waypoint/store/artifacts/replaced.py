"""Moves replaced artifacts to {experiment}/replaced/{k}/, under their own paths, instead of deleting them."""

import itertools
import os
import shutil
from pathlib import Path

from waypoint.store.types import StrPath

FOLDER = "replaced"
UNFINISHED = ("resume", "shards")  # folders of unfinished work
# set by the Snakefile: the experiment's folder as in the paths of jobs, and whether to delete earlier results instead
ROOT, DELETE = "WAYPOINT_ROOT", "WAYPOINT_DELETE_REPLACED"


def name_of(path: StrPath) -> str:
    """Return an artifact's path within its experiment, or the whole path if it is in none."""
    root = os.environ.get(ROOT)
    _, inside, name = str(path).partition(f"{root}/") if root else ("", "", "")
    return name if inside else str(path)


def set_aside(*paths: StrPath) -> None:
    """Move an old artifact aside, if there is one, to make room for a new one.

    A link to somebody else's store (but not the store), unfinished work and files outside any experiment are removed
    instead.

    Args:
        paths: of the artifact, and of its marker if that lies beside it.
    """
    old = [Path(path) for path in paths if os.path.lexists(path)]
    if not old:
        return
    name = name_of(old[0])
    keep = name != str(old[0]) and Path(name).parts[0] not in UNFINISHED and not os.environ.get(DELETE)
    if not keep or any(path.is_symlink() for path in old):
        for path in old:
            _remove(path)
        return
    backups = Path(str(old[0])[: -len(name)], FOLDER)
    free = (backups / str(k) for k in itertools.count(1) if not os.path.lexists(backups / str(k) / name))
    destination = Path(next(free), name).parent
    destination.mkdir(parents=True, exist_ok=True)
    for path in old:
        os.rename(path, destination / path.name)


def replaced_bytes(root: StrPath) -> int:
    """Return the size in bytes of everything that was moved aside in an experiment."""
    files = (file for file in Path(root, FOLDER).rglob("*") if file.is_file() and not file.is_symlink())
    return sum(file.stat().st_size for file in files)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        old = path.with_name(f"{path.name}.tmp-old-{os.getpid()}")  # if killed, leaves no half in place
        os.rename(path, old)
        shutil.rmtree(old)
    else:
        path.unlink()
