"""What is replaced is moved aside, never deleted: {experiment}/replaced/{k}/ holds it under its own path."""

import itertools
import os
import shutil
from pathlib import Path

FOLDER = "replaced"
UNFINISHED = ("resume", "shards")  # folders of what is no result yet
# set by the Snakefile: the experiment's folder as jobs' paths have it, and whether earlier results are deleted instead
ROOT, DELETE = "WAYPOINT_ROOT", "WAYPOINT_DELETE_REPLACED"


def name_of(path):
    """An artifact's path within its experiment; its own path where it lies in none."""
    root = os.environ.get(ROOT)
    _, found, name = str(path).partition(f"{root}/") if root else ("", "", "")
    return name if found else str(path)


def set_aside(*paths):
    """Make room for an artifact that takes the place of another: move the old one aside, if there is one.

    A link to somebody else's store is removed, not what it leads to; so is the state of something unfinished, and what
    lies in no experiment.

    Args:
        paths: of the artifact, and of its marker where that lies beside it.
    """
    found = [Path(path) for path in paths if os.path.lexists(path)]
    if not found:
        return
    name = name_of(found[0])
    kept = name != str(found[0]) and Path(name).parts[0] not in UNFINISHED and not os.environ.get(DELETE)
    if not kept or any(path.is_symlink() for path in found):
        for path in found:
            _remove(path)
        return
    aside = Path(str(found[0])[: -len(name)], FOLDER)
    free = (aside / str(k) for k in itertools.count(1) if not os.path.lexists(aside / str(k) / name))
    place = Path(next(free), name).parent
    place.mkdir(parents=True, exist_ok=True)
    for path in found:
        os.rename(path, place / path.name)


def replaced_bytes(root):
    """Bytes of everything that was moved aside in an experiment."""
    files = (file for file in Path(root, FOLDER).rglob("*") if file.is_file() and not file.is_symlink())
    return sum(file.stat().st_size for file in files)


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        old = path.with_name(f"{path.name}.tmp-old-{os.getpid()}")  # a kill must not leave half of it in its place
        os.rename(path, old)
        shutil.rmtree(old)
    else:
        path.unlink()
