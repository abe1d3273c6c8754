"""Containers of images: a folder, or a zip archive of one. Both list the names of files and return their bytes."""

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
        path: of the folder or archive. names: of its files, relative and with '/', in path order.
    """

    path: str
    names: list[str]

    def location(self, name: str) -> str:
        """Return the name of a file for messages."""
        ...

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        ...

    def read(self, name: str) -> bytes:
        """Read a file's bytes.

        Raises:
            WaypointError: it cannot be read.
        """
        ...

    def file_of(self, name: str) -> str | IO[bytes]:
        """Return a file for Pillow to open: its path, or a binary file."""
        ...

    def read_from(self, names: Sequence[str]) -> list[str]:
        """Return the paths of the files on this machine that contain the named files."""
        ...


def open_container(path: StrPath) -> Container:
    """Open the folder or zip archive at a path."""
    return ZipFolder(path) if str(path).lower().endswith(".zip") and not os.path.isdir(path) else Folder(path)


class Folder:
    """A folder on this machine."""

    def __init__(self, path: StrPath):
        self.path, self.names = os.fspath(path), walk(path)

    def location(self, name: str) -> str:
        return os.path.join(self.path, name)

    def has(self, name: str) -> bool:
        """Whether there is a file of this name, even a hidden one."""
        return os.path.isfile(self.location(name))

    def read(self, name: str) -> bytes:
        try:
            with open(self.location(name), "rb") as handle:
                return handle.read()
        except OSError as error:
            raise WaypointError(f"data.path: cannot read {self.location(name)} ({error.strerror})") from error

    def file_of(self, name: str) -> str:
        return self.location(name)

    def read_from(self, names: Sequence[str]) -> list[str]:
        return list(map(self.location, names))


class ZipFolder:
    """A zip archive, read in place. Names leave out a folder around everything in it, which most programs add."""

    def __init__(self, path: StrPath):
        self.path = os.fspath(path)
        try:
            self.archive = zipfile.ZipFile(path)
            members = [member for member in self.archive.infolist() if not member.is_dir()]
        except ZIP_ERRORS as error:
            raise WaypointError(f"data.path: {path} is not a readable zip archive ({error})") from error
        if encrypted := [member.filename for member in members if member.flag_bits & 1]:
            raise WaypointError(
                f"data.path: {path} is locked by a password ({len(encrypted):,} of {len(members):,} files); unpack it "
                f"into a folder with `unzip {path}`"
            )
        named_members = [(posixpath.normpath(member.filename.replace("\\", "/")), member) for member in members]
        named_members = [(name, member) for name, member in named_members if not _is_skipped(name)]
        if duplicates := [name for name, count in Counter(name for name, _ in named_members).items() if count > 1]:
            raise WaypointError(f"data.path: {path} holds {some(sorted(duplicates))} twice")
        top_folders = {name.split("/", 1)[0] for name, _ in named_members}
        wrapper = (
            f"{top_folders.pop()}/" if len(top_folders) == 1 and all("/" in name for name, _ in named_members) else ""
        )
        self.members = {name.removeprefix(wrapper): member for name, member in named_members}
        self.names = sorted(self.members, key=lambda name: name.split("/"))

    def location(self, name: str) -> str:
        return f"{self.path}: {name}"

    def has(self, name: str) -> bool:
        return name in self.members

    def read(self, name: str) -> bytes:
        try:
            return self.archive.read(self.members[name])
        except ZIP_ERRORS as error:
            raise WaypointError(f"data.path: {self.location(name)} cannot be unpacked ({error})") from error

    def file_of(self, name: str) -> IO[bytes]:
        return io.BytesIO(self.read(name))

    def read_from(self, names: Sequence[str]) -> list[str]:
        return [self.path]


def _is_skipped(name: str) -> bool:
    """Whether to skip a member, as ``listing.walk`` does: hidden, left over by a system, or outside the archive."""
    *folders, base = name.split("/")
    hidden = any(part.startswith(".") or part in FOLDERS or part.endswith(".zarr") for part in folders)
    return hidden or name.startswith("/") or base.startswith(".") or base in FOLDERS or base.lower() in LEFTOVERS
