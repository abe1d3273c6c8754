"""Lists the data files in a folder, following links and skipping leftovers of systems and programs."""

import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from waypoint.errors import WaypointError
from waypoint.store.artifacts.provenance import MARKER
from waypoint.store.data.faults import some
from waypoint.store.types import StrPath

# files and folders written by systems and programs, besides those whose name begins with a dot
LEFTOVERS = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
FOLDERS = {"__MACOSX", "__pycache__", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
# files that are obviously not images
TEXTS = set("|.txt|.md|.csv|.tsv|.json|.jsonl|.xml|.yaml|.yml|.log|.html|.db|.sh".split("|"))
TEXTS.update((".py", ".ipynb", ".ini", ".toml", ".caption", ".rst"))
# images that Pillow does not read, and archives with the command that unpacks them
PICTURES = {".heic", ".heif", ".jxl", ".svg", ".exr", ".hdr", ".dcm", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf"}
PICTURES.update((".orf", ".rw2", ".xcf", ".eps", ".pdf", ".wmf", ".jxr", ".fits", ".fit", ".ai"))
PACKED = {".zip": "unzip", ".tar": "tar -xf", ".gz": "tar -xf", ".tgz": "tar -xf", ".7z": "7z x", ".rar": "unrar x"}
IDX = re.compile(r"idx3-ubyte(\.gz)?$", re.IGNORECASE)
# formats that Pillow lists but does not read, or only with an external program; of FITS it ignores the scale of values
NOT_READ = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "WMF"}


def walk(root: StrPath) -> list[str]:
    """List the names of the files below a folder, relative and with '/', in path order.

    Hidden files and folders, leftovers of systems, and Waypoint's artifacts (stores, folders of models, and figures
    with a marker beside them) are left out. Links to files and folders are followed.

    Raises:
        WaypointError: a folder cannot be read, or a link leads to one of its parent folders, or nowhere.
    """
    names: list[str] = []
    broken_links: list[str] = []
    _walk(os.fspath(root), "", {}, names, broken_links)
    if broken_links:
        raise WaypointError(f"data.path: links under {root} that lead nowhere: {some(sorted(broken_links))}")
    return sorted(names, key=lambda name: name.split("/"))


def _walk(
    folder: str, prefix: str, parents: Mapping[tuple[int, int], str], names: list[str], broken_links: list[str]
) -> None:
    """Add the names of one folder's files to ``names``, and those of broken links to ``broken_links``.

    Args:
        parents: paths of its parent folders, by device and inode.
    """
    try:
        state = os.stat(folder)
        entries = list(os.scandir(folder))
    except OSError as error:
        raise WaypointError(f"data.path: cannot read {folder} ({error.strerror})") from error
    key = state.st_dev, state.st_ino
    if key in parents:
        raise WaypointError(f"data.path: {folder} is a link to {parents[key]}, which it lies in; remove it")
    parents = {**parents, key: folder}
    entry_names = {entry.name for entry in entries}
    if MARKER in entry_names:  # a folder of models or encoders
        return
    for entry in entries:
        name = entry.name
        if name.startswith(".") or name in FOLDERS or name.lower() in LEFTOVERS or f".{name}.json" in entry_names:
            continue
        if entry.is_dir():
            if not name.endswith(".zarr"):
                _walk(entry.path, f"{prefix}{name}/", parents, names, broken_links)
        elif entry.is_file():
            names.append(prefix + name)
        elif entry.is_symlink():
            broken_links.append(prefix + name)


def suffix_of(name: str) -> str:
    """Return the suffix of a file's name, in lower case."""
    return os.path.splitext(name)[1].lower()


def readable() -> set[str]:
    """Return the suffixes of the images that Pillow reads."""
    from PIL import Image  # imported lazily: most plans do not need it

    Image.init()
    suffixes = Image.registered_extensions().items()
    return {suffix for suffix, kind in suffixes if kind in Image.OPEN and kind not in NOT_READ}


def require_utf8(names: Iterable[str], context: str) -> None:
    """Refuse names that are not UTF-8, which neither tables nor stores can contain.

    Raises:
        WaypointError: names the first ten.
    """
    odd = [name for name in names if not _is_utf8(name)]
    if odd:
        examples = some(name.encode("utf-8", "backslashreplace").decode() for name in odd)
        raise WaypointError(
            f"{context}: {len(odd):,} names are no UTF-8, such as {examples}; rename them, with convmv, say"
        )


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
        return True
    except UnicodeEncodeError:
        return False


def counts_by_suffix(names: Iterable[str]) -> str:
    """Return the number of files of each suffix, as a text."""
    counts = Counter(suffix_of(name) for name in names)
    return some(f"{count:,} {suffix or 'without a suffix'}" for suffix, count in counts.most_common())


def is_idx(name: str) -> bool:
    """Whether a file is named like MNIST's images, train-images-idx3-ubyte or similar, compressed or not."""
    return IDX.search(name) is not None


def idx_command(name: str) -> str:
    """Return a command that converts MNIST's images in an idx file to images.npz."""
    opened = "gzip.open" if suffix_of(name) == ".gz" else "open"
    code = (
        f"import gzip, numpy as np; raw = {opened}({name!r}, 'rb').read(); "
        "images = np.frombuffer(raw, np.uint8, offset=16).reshape(np.frombuffer(raw, '>i4', 3, 4)); "
        "np.savez('images.npz', image=images)"
    )
    return f'python -c "{code}"'


def conversion(names: Sequence[str]) -> str:
    """Return a sentence with the command that converts files of the most common suffix; empty if none is known."""
    suffix = Counter(map(suffix_of, names)).most_common(1)[0][0]
    name = next(name for name in sorted(names, key=is_idx, reverse=True) if suffix_of(name) == suffix)
    if is_idx(name):
        return f" `{idx_command(name)}` in their folder makes images.npz of such a file, which source npz reads."
    if suffix in PACKED:
        command = "gunzip" if suffix == ".gz" and not name.lower().endswith(".tar.gz") else PACKED[suffix]
        return f" `{command} {shlex.quote(name)}` unpacks it."
    if suffix in PICTURES:
        return (
            f" `magick mogrify -format png '*{os.path.splitext(name)[1]}'` in their folder makes PNGs of such images."
        )
    return ""
