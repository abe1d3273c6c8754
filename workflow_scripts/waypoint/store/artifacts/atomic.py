"""Directories and files that appear complete or not at all: written beside their final path, renamed last.

If the environment variable WAYPOINT_SCRATCH names a folder, directories are built there and copied beside their final
path when finished: a node's own disk handles many small writes better than a shared file system.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import uuid
from collections.abc import Callable, Generator
from pathlib import Path

from waypoint.store.artifacts.checksums import checksums
from waypoint.store.artifacts.provenance import marker_path
from waypoint.store.artifacts.replaced import set_aside
from waypoint.store.types import Attributes, StrPath


@contextlib.contextmanager
def atomic_directory(path: StrPath) -> Generator[Path]:
    """Yield a temporary directory, which appears at ``path`` only if the block ends without an error.

    Its name contains host and process id, so an orphan and its successor never share one. Leftovers of killed
    processes on this host are removed first.
    """
    path = Path(path)
    tmp = _temporary(path)
    scratch = Path(os.environ.get("WAYPOINT_SCRATCH") or tmp.parent)
    build = _temporary(scratch / path.name).with_name(tmp.name)
    build.mkdir()
    try:
        yield build
        if build != tmp:
            shutil.copytree(build, tmp)
        set_aside(path)
        os.rename(tmp, path)
    except BaseException:
        shutil.rmtree(tmp, ignore_errors=True)
        raise
    finally:
        if build != tmp:
            shutil.rmtree(build, ignore_errors=True)


@contextlib.contextmanager
def atomic_file(path: StrPath, attributes: Callable[[], Attributes]) -> Generator[Path]:
    """Yield a temporary path, whose file appears at ``path`` only if the block ends without an error.

    The temporary path has the same suffix. ``attributes`` is called last; its result is in place before the file is, so
    that no file is ever without its attributes.
    """
    path = Path(path)
    tmp = _temporary(path)
    tmp = tmp.with_name(tmp.name + path.suffix)
    marker = tmp.with_name(tmp.name + ".json")
    try:
        yield tmp
        files = {path.name: checksums(tmp)[tmp.name]}
        marker.write_text(json.dumps({**attributes(), "files": files}, indent=2) + "\n")
        set_aside(path, marker_path(path))  # an old file must not be seen with the new one's attributes
        os.replace(marker, marker_path(path))
        os.replace(tmp, path)
    except BaseException:
        tmp.unlink(missing_ok=True)
        marker.unlink(missing_ok=True)
        raise


def share(folder: StrPath) -> None:
    """Give a folder's files the permissions that the umask allows; safetensors makes them private to their owner.

    Args:
        folder: created in this run, so that its permissions follow the umask.
    """
    allowed = Path(folder).stat().st_mode & 0o666
    for file in Path(folder).iterdir():
        if file.is_file():
            file.chmod(allowed)


def _temporary(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    return path.with_name(f"{path.name}.tmp-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")


def _remove_leftovers(path: Path) -> None:
    pattern = re.compile(re.escape(f"{path.name}.tmp-{socket.gethostname()}-") + r"(\d+)-[0-9a-f]{8}")
    for sibling in path.parent.iterdir():
        leftover = pattern.match(sibling.name)
        if leftover and not Path(f"/proc/{leftover[1]}").exists():
            shutil.rmtree(sibling, ignore_errors=True) if sibling.is_dir() else sibling.unlink(missing_ok=True)
