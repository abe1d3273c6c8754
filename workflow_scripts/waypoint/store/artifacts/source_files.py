"""Records of the raw data and external models that artifacts were made from, and how these have changed since.

File metadata is compared first, contents only if it differs. Of training images, only the files that were read count.
"""

import base64
import json
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np

from waypoint.store.artifacts.fingerprint import Digest, content_hash, quick_look, text_hash
from waypoint.store.types import StrPath

CHUNK = 4 << 20  # bytes read at once
ITSELF = ""  # name of a file that the configuration itself names

Located = tuple[int, str]  # index of a place named in the configuration, and the file's path below it


class PackedFiles(TypedDict):
    """The files of a record: their number, and their names and checksums, packed in base 85."""

    number: int
    names: str
    crc32: str


class SourceRecord(TypedDict):
    """An artifact's record of the files and folders that it was made from.

    Attributes:
        paths: the files and folders. look: a hash of names, sizes and change times. sha256: a hash of names and
            contents. files: the files that were read, if those are only some of the files below ``paths``.
        hub, revisions: id and commits of a data set from the hub.
    """

    paths: Sequence[str]
    look: str
    sha256: str
    files: NotRequired[PackedFiles]
    hub: NotRequired[str]
    revisions: NotRequired[Sequence[str]]


def source_record(sources: Iterable[StrPath | None]) -> SourceRecord | None:
    """Return the record of files and folders with everything in them; None if there are none."""
    paths = [source for source in sources if source]
    if not paths:
        return None
    return {"paths": list(map(str, paths)), "look": quick_look(paths), "sha256": content_hash(paths)}


def changed_source(record: SourceRecord | None, sources: Sequence[StrPath]) -> str | None:
    """Describe in one clause how raw data or models differ from those that an artifact was made from.

    Times and locations do not count.

    Args:
        record: the artifact's ``source_record`` or ``files_record``, or None.
        sources: current paths of the files and folders; empty if they are gone.

    Returns:
        None if nothing differs.
    """
    if record is None or not sources:
        return None
    if "files" in record:
        return changed_file(record, sources)
    if quick_look(sources) == record["look"]:
        return None
    names = [Path(path).name for path in record.get("paths", sources)]  # a file may have been renamed
    if len(names) == len(sources) and content_hash(sources, names) == record["sha256"]:
        return None
    return f"{', '.join(map(str, sources))} changed since it was read"


def files_record(places: Iterable[StrPath], paths: Iterable[StrPath]) -> SourceRecord | None:
    """Return the record of the files that were read; None if there are none.

    Args:
        places: files and folders named in the configuration.
        paths: the files that were read, each one of the places or below one of them.
    """
    roots = list(map(str, places))
    located = sorted({_located(path, roots) for path in paths})
    if not located:
        return None
    files = [_path(roots, index, name) for index, name in located]
    sums, sha256 = _contents(located, files)
    names = zlib.compress(json.dumps(located, ensure_ascii=False).encode(), 9)
    return {
        "paths": roots,
        "look": _look(located, files),
        "sha256": sha256,
        "files": {
            "number": len(files),
            "names": base64.b85encode(names).decode(),
            "crc32": base64.b85encode(np.array(sums, "<u4").tobytes()).decode(),
        },
    }


def changed_file(record: SourceRecord, places: Sequence[StrPath]) -> str | None:
    """Describe in one clause the first file that was read and differs now; None if all are unchanged.

    Files that were never read, locations and times do not count.

    Args:
        record: from ``files_record``. places: current paths of the files and folders.
    """
    if len(places) != len(record["paths"]) or "files" not in record:
        return f"{', '.join(map(str, places))} changed since it was read"
    packed = record["files"]
    located: list[Located] = [
        (index, name) for index, name in json.loads(zlib.decompress(base64.b85decode(packed["names"])))
    ]
    files = [_path(places, index, name) for index, name in located]
    if _look(located, files) == record["look"]:
        return None
    sums, sha256 = _contents(located, files)
    if sha256 == record["sha256"]:
        return None
    before = np.frombuffer(base64.b85decode(packed["crc32"]), "<u4").tolist()
    changed = [file for file, old, new in zip(files, before, sums) if old != new]
    if all(new is None for new in sums) and all(_empty(place) for place in places):
        return None  # missing raw data, such as an unmounted disk, is no change
    first = changed[0] if changed else files[0]
    more = f" ({len(changed) - 1:,} more files differ)" if len(changed) > 1 else ""
    return f"{first} {'changed since it was read' if os.path.exists(first) else 'was read and is gone'}{more}"


def _located(path: StrPath, places: Sequence[str]) -> Located:
    """Return the index of the place that contains a file, and the file's path below it."""
    path = os.fspath(path)
    if path in places:
        return places.index(path), ITSELF
    for index, place in enumerate(places):
        folder = place if place.endswith("/") else place + "/"
        if path.startswith(folder):
            return index, path[len(folder) :]
    for index, place in enumerate(places):  # './photos' and 'photos'
        relative = os.path.relpath(path, place)
        if not relative.startswith(".."):
            return index, relative if relative != "." else ITSELF
    raise ValueError(f"{path} is not below one of {places}")


def _path(places: Sequence[StrPath], index: int, name: str) -> str:
    return os.path.join(places[index], name) if name else str(places[index])


def _look(located: Sequence[Located], files: Sequence[str]) -> str:
    """SHA-256 of names, sizes and change times (ctime, which copying tools cannot reset)."""
    lines: list[str] = []
    for (index, name), file in zip(located, files):
        try:
            state = os.stat(file)
            lines.append(f"{index}\0{name}\0{state.st_size}\0{state.st_ctime_ns}\n")
        except OSError:
            lines.append(f"{index}\0{name}\0gone\n")
    return text_hash("".join(lines))


def _contents(located: Sequence[Located], files: Sequence[str]) -> tuple[list[int | None], str]:
    """Return the CRC-32 of every file (None if it is gone) and the SHA-256 of all names and contents, in one pass."""
    digest = Digest()
    sums: list[int | None] = []
    for (index, name), file in zip(located, files):
        digest.add(f"{index}\0{name}\n".encode())
        try:
            with open(file, "rb", buffering=0) as handle:
                crc, size = 0, 0
                while chunk := handle.read(CHUNK):
                    digest.add(chunk)
                    crc, size = zlib.crc32(chunk, crc), size + len(chunk)
            digest.add(f"\n{size}\n".encode())
            sums.append(crc)
        except OSError:
            digest.add(b"gone\n")
            sums.append(None)
    return sums, digest.hex()


def _empty(place: StrPath) -> bool:
    return not os.path.exists(place) or (os.path.isdir(place) and not os.listdir(place))
