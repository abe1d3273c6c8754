"""Containers of images: a folder, or a zip archive of one. Both have names of files and return the bytes of each."""

import io
import os
import posixpath
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import IO, Protocol

from waypoint.errors import WaypointError
from waypoint.store.data.faults import some
from waypoint.store.data.listing import FOLDERS, LEFTOVERS, walk
from waypoint.store.types import StrPath

ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError, ValueError)


class Container(Protocol):
    """A folder or a zip archive of images.

    Attributes:
        path: of the folder or archive. names: of its files, relative and with '/', in the order of their paths.
    """

    path: str
    names: list[str]

    def where(self, name: str) -> str:
        """The name of a file in messages."""
        ...

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        ...

    def read(self, name: str) -> bytes:
        """A file's bytes.

        Raises:
            WaypointError: it cannot be read.
        """
        ...

    def opened(self, name: str) -> str | IO[bytes]:
        """A file in the form that Pillow opens: its path, or its bytes."""
        ...

    def read_from(self, names: Sequence[str]) -> list[str]:
        """Paths of the files on this machine that hold these names."""
        ...


def container(path: StrPath) -> Container:
    """The folder or zip archive at a path."""
    return ZipFolder(path) if str(path).lower().endswith(".zip") and not os.path.isdir(path) else Folder(path)


class Folder:
    """A folder on this machine."""

    def __init__(self, path: StrPath):
        self.path, self.names = os.fspath(path), walk(path)

    def where(self, name: str) -> str:
        return os.path.join(self.path, name)

    def has(self, name: str) -> bool:
        """Whether there is a file of this name, also a hidden one."""
        return os.path.isfile(self.where(name))

    def read(self, name: str) -> bytes:
        try:
            with open(self.where(name), "rb") as handle:
                return handle.read()
        except OSError as error:
            raise WaypointError(f"data.path: cannot read {self.where(name)} ({error.strerror})") from error

    def opened(self, name: str) -> str:
        return self.where(name)

    def read_from(self, names: Sequence[str]) -> list[str]:
        return list(map(self.where, names))


class ZipFolder:
    """A zip archive, read in place. A folder around everything in it, which most programs add, is no part of names."""

    def __init__(self, path: StrPath):
        self.path = os.fspath(path)
        try:
            self.archive = zipfile.ZipFile(path)
            members = [member for member in self.archive.infolist() if not member.is_dir()]
        except ZIP_ERRORS as error:
            raise WaypointError(f"data.path: {path} is no readable zip archive ({error})") from error
        if locked := [member.filename for member in members if member.flag_bits & 1]:
            raise WaypointError(
                f"data.path: {path} is locked by a password ({len(locked):,} of {len(members):,} files); unpack it "
                f"into a folder with `unzip {path}`"
            )
        named = [(posixpath.normpath(member.filename.replace("\\", "/")), member) for member in members]
        named = [(name, member) for name, member in named if not _left_out(name)]
        if twice := [name for name, count in Counter(name for name, _ in named).items() if count > 1]:
            raise WaypointError(f"data.path: {path} holds {some(sorted(twice))} twice")
        tops = {name.split("/", 1)[0] for name, _ in named}
        around = f"{tops.pop()}/" if len(tops) == 1 and all("/" in name for name, _ in named) else ""
        self.members = {name.removeprefix(around): member for name, member in named}
        self.names = sorted(self.members, key=lambda name: name.split("/"))

    def where(self, name: str) -> str:
        return f"{self.path}: {name}"

    def has(self, name: str) -> bool:
        return name in self.members

    def read(self, name: str) -> bytes:
        try:
            return self.archive.read(self.members[name])
        except ZIP_ERRORS as error:
            raise WaypointError(f"data.path: {self.where(name)} cannot be unpacked ({error})") from error

    def opened(self, name: str) -> IO[bytes]:
        return io.BytesIO(self.read(name))

    def read_from(self, names: Sequence[str]) -> list[str]:
        return [self.path]


def _left_out(name: str) -> bool:
    """Whether a member is a leftover of a system, or leads out of the archive; as ``listing.walk`` for folders."""
    *folders, base = name.split("/")
    hidden = any(part.startswith(".") or part in FOLDERS or part.endswith(".zarr") for part in folders)
    return hidden or name.startswith("/") or base.startswith(".") or base in FOLDERS or base.lower() in LEFTOVERS
