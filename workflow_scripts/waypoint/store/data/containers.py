"""What a folder of images may be: a folder, or a zip archive of one. Both have names, and bytes under each of them."""

import io
import os
import posixpath
import zipfile
import zlib

from waypoint.errors import WaypointError
from waypoint.store.data.faults import some
from waypoint.store.data.listing import FOLDERS, LEFTOVERS, walk

ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError, ValueError)


def container(path):
    """The folder or zip archive at a path."""
    return ZipFolder(path) if str(path).lower().endswith(".zip") and not os.path.isdir(path) else Folder(path)


class Folder:
    """A folder on this machine.

    Attributes:
        names: of its files, relative and with '/', in the order of their paths.
    """

    def __init__(self, path):
        self.path, self.names = os.fspath(path), walk(path)

    def where(self, name):
        """A file in messages."""
        return os.path.join(self.path, name)

    def has(self, name):
        """Whether there is a file of this name, hidden ones too."""
        return os.path.isfile(self.where(name))

    def read(self, name):
        """A file's bytes.

        Raises:
            WaypointError: it cannot be read.
        """
        try:
            with open(self.where(name), "rb") as handle:
                return handle.read()
        except OSError as error:
            raise WaypointError(f"data.path: cannot read {self.where(name)} ({error.strerror})") from error

    def opened(self, name):
        """What Pillow opens."""
        return self.where(name)

    def read_from(self, names):
        """Places of the files that hold these names."""
        return list(map(self.where, names))


class ZipFolder:
    """A zip archive, read in place. A folder around everything in it, which most programs add, is no part of names."""

    def __init__(self, path):
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
        found = [(posixpath.normpath(member.filename.replace("\\", "/")), member) for member in members]
        found = [(name, member) for name, member in found if not _left_out(name)]
        if twice := [name for name, count in _counts(found).items() if count > 1]:
            raise WaypointError(f"data.path: {path} holds {some(sorted(twice))} twice")
        tops = {name.split("/", 1)[0] for name, _ in found}
        around = f"{tops.pop()}/" if len(tops) == 1 and all("/" in name for name, _ in found) else ""
        self.members = {name.removeprefix(around): member for name, member in found}
        self.names = sorted(self.members, key=lambda name: name.split("/"))

    def where(self, name):
        """A member in messages."""
        return f"{self.path}: {name}"

    def has(self, name):
        """Whether there is a member of this name."""
        return name in self.members

    def read(self, name):
        """A member's bytes.

        Raises:
            WaypointError: it cannot be read.
        """
        try:
            return self.archive.read(self.members[name])
        except ZIP_ERRORS as error:
            raise WaypointError(f"data.path: {self.where(name)} cannot be unpacked ({error})") from error

    def opened(self, name):
        """What Pillow opens."""
        return io.BytesIO(self.read(name))

    def read_from(self, names):
        """The archive."""
        return [self.path]


def _counts(found):
    counts = {}
    for name, _ in found:
        counts[name] = counts.get(name, 0) + 1
    return counts


def _left_out(name):
    """Whether a member is what machines leave behind, or leads out of the archive; as ``listing.walk`` for folders."""
    *folders, base = name.split("/")
    hidden = any(part.startswith(".") or part in FOLDERS or part.endswith(".zarr") for part in folders)
    return hidden or name.startswith("/") or base.startswith(".") or base in FOLDERS or base.lower() in LEFTOVERS
