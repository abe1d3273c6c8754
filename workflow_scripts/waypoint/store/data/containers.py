"""Containers of images: a folder, or a zip archive of one. Both list the names of files and return their bytes."""

import io
import os
import posixpath
import shlex
import stat
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import IO, Protocol

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.data.faults import some
from waypoint.store.data.listing import FOLDERS, LEFTOVERS, readable, suffix_of, walk
from waypoint.store.types import StrPath

ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError, ValueError)
LOCKED, UTF8 = 0x1, 0x800  # flags of a member
COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}


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
    """A zip archive, read in place. Names leave out the folders around all images, which most programs add.

    In tables, whole names are understood too.
    """

    def __init__(self, path: StrPath):
        self.path = os.fspath(path)
        try:
            self.archive = zipfile.ZipFile(path)
            members = [member for member in self.archive.infolist() if not member.is_dir()]
        except ZIP_ERRORS as error:
            raise WaypointError(f"data.path: {path} is not a readable zip archive ({error})") from error
        named_members = [(name, member) for name, member in _named(members, path) if not _is_skipped(name)]
        _require_unpackable(members, named_members, path)
        if duplicates := [name for name, count in Counter(name for name, _ in named_members).items() if count > 1]:
            raise WaypointError(f"data.path: {path} holds {some(sorted(duplicates))} twice")
        wrapper = _wrapper([name for name, _ in named_members], path)
        inner = {_below(wrapper, name): member for name, member in named_members}
        self.members = dict(named_members) | inner
        self.names = sorted(inner, key=lambda name: name.split("/"))

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


def _named(members: Sequence[zipfile.ZipInfo], path: StrPath) -> list[tuple[str, zipfile.ZipInfo]]:
    """Return the members with their names, with '/'. Names that are UTF-8 without saying so are read as such.

    Other names without the mark of UTF-8 are those of DOS, by the format's rule; a warning counts them.
    """
    named_members: list[tuple[str, zipfile.ZipInfo]] = []
    of_dos: list[str] = []
    for member in members:
        name = member.filename
        if not member.flag_bits & UTF8 and not name.isascii():
            try:
                name = name.encode("cp437").decode("utf-8")
            except UnicodeError:
                of_dos.append(name)
        named_members.append((posixpath.normpath(name.replace("\\", "/")), member))
    if of_dos:
        warnings.warn(
            f"data.path: {path}: {len(of_dos):,} names are not UTF-8 and are read in the code page 437 of DOS: "
            f"{some(of_dos)}. If they look wrong, unpack the archive into a folder, with `unzip -O CODEPAGE`, say",
            WaypointWarning,
            stacklevel=2,
        )
    return named_members


def _require_unpackable(
    members: Sequence[zipfile.ZipInfo], named_members: Sequence[tuple[str, zipfile.ZipInfo]], path: StrPath
) -> None:
    """Refuse an archive with members that cannot be read in place, by its directory.

    Raises:
        WaypointError: says how many there are, and how to unpack them.
    """
    advice = f"unpack it into a folder with `{{command}} {shlex.quote(str(path))}`"
    if encrypted := [member.filename for member in members if member.flag_bits & LOCKED]:
        raise WaypointError(
            f"data.path: {path} is locked by a password ({len(encrypted):,} of {len(members):,} files); "
            + advice.format(command="unzip")
        )
    links = [name for name, member in named_members if stat.S_ISLNK(member.external_attr >> 16)]
    if links:
        raise WaypointError(
            f"data.path: {path} holds {len(links):,} links: {some(links)}; {advice.format(command='unzip')}, or pack "
            "the files that they lead to"
        )
    unknown = [name for name, member in named_members if member.compress_type not in COMPRESSIONS]
    if unknown:
        kinds = sorted({member.compress_type for _, member in named_members} - COMPRESSIONS)
        raise WaypointError(
            f"data.path: {path} holds {len(unknown):,} files that are compressed in a way that is not read here (type "
            f"{some(kinds)}): {some(unknown)}; {advice.format(command='7z x')}"
        )


def _wrapper(names: Sequence[str], path: StrPath) -> str:
    """Return the folders around all images and metadata tables, with a '/' at the end, or an empty text.

    One folder is always left out; further ones only if all images lie in folders within them, which may be classes.
    """
    suffixes = readable()
    used = [name.split("/") for name in names if suffix_of(name) in suffixes or _is_metadata(name)]
    depth = 0
    while used and len({parts[depth] for parts in used}) == 1 and min(map(len, used)) > depth + (2 if depth else 1):
        depth += 1
    wrapper = "".join(f"{part}/" for part in used[0][:depth]) if used else ""
    if depth > 1:
        warnings.warn(
            f"data.path: all images in {path} lie in {wrapper}, which is left out of their names and classes",
            WaypointWarning,
            stacklevel=2,
        )
    return wrapper


def _is_metadata(name: str) -> bool:
    return posixpath.basename(name).lower().startswith("metadata.")


def _below(wrapper: str, name: str) -> str:
    """Return a name relative to the folders that are left out."""
    return name.removeprefix(wrapper) if name.startswith(wrapper) else posixpath.relpath(name, wrapper)


def _is_skipped(name: str) -> bool:
    """Whether to skip a member, as ``listing.walk`` does: hidden, left over by a system, or outside the archive."""
    *folders, base = name.split("/")
    hidden = any(part.startswith(".") or part in FOLDERS or part.endswith(".zarr") for part in folders)
    return hidden or name.startswith("/") or base.startswith(".") or base in FOLDERS or base.lower() in LEFTOVERS
