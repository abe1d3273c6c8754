"""Records of the raw data and outside models that artifacts were made from, and how these differ from them now.

Metadata of the files is compared first, contents only where that differs. Of training images only the files that were
read count.
"""

import base64
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np

from waypoint.store.artifacts.fingerprint import content_hash, quick_look, text_hash
from waypoint.store.types import StrPath

CHUNK = 4 << 20  # bytes read at once
ITSELF = ""  # the name of a file that the configuration names itself

Located = tuple[int, str]  # index of a place that the configuration names, and the file's path below it


class PackedFiles(TypedDict):
    """The files of a record: their number, names and checksums, the last two compressed and in base 85."""

    number: int
    names: str
    crc32: str


class SourceRecord(TypedDict):
    """An artifact's record of the files and folders that it was made from.

    Attributes:
        paths: the files and folders. look: a hash of names, sizes and change times. sha256: a hash of names and
            contents. files: the files that were read, where only some of those below ``paths`` were.
        hub, revisions: of a data set from the hub, its id and commits.
    """

    paths: Sequence[str]
    look: str
    sha256: str
    files: NotRequired[PackedFiles]
    hub: NotRequired[str]
    revisions: NotRequired[Sequence[str]]


def source_record(sources: Iterable[StrPath | None]) -> SourceRecord | None:
    """The record of files and folders that count with everything in them; None if there are none."""
    paths = [source for source in sources if source]
    if not paths:
        return None
    return {"paths": list(map(str, paths)), "look": quick_look(paths), "sha256": content_hash(paths)}


def changed_source(record: SourceRecord | None, sources: Sequence[StrPath]) -> str | None:
    """Tell how raw data or models differ from those that an artifact was made from, in one clause.

    Other times and another place are no difference.

    Args:
        record: the artifact's ``source_record`` or ``files_record``, or None.
        sources: where the files and folders lie now; empty if they are gone.

    Returns:
        None where nothing differs.
    """
    if record is None or not sources:
        return None
    if "files" in record:
        return changed_file(record, sources)
    if quick_look(sources) == record["look"]:
        return None
    names = [Path(path).name for path in record.get("paths", sources)]  # a file may have another name where it lies now
    if len(names) == len(sources) and content_hash(sources, names) == record["sha256"]:
        return None
    return f"{', '.join(map(str, sources))} changed since it was read"


def files_record(places: Iterable[StrPath], paths: Iterable[StrPath]) -> SourceRecord | None:
    """The record of the files that were read; None if there are none.

    Args:
        places: files and folders that the configuration names.
        paths: the files that were read, each one of the places or below one of them.
    """
    roots = list(map(str, places))
    located = sorted({_located(path, roots) for path in paths})
    if not located:
        return None
    files = [_path(roots, at, name) for at, name in located]
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
    """Tell the first file that was read and differs now, in one clause; None where all are the same.

    Files that were never read do not count, nor do places and times.

    Args:
        record: as ``files_record`` made it. places: where the files and folders lie now.
    """
    if len(places) != len(record["paths"]) or "files" not in record:
        return f"{', '.join(map(str, places))} changed since it was read"
    packed = record["files"]
    located: list[Located] = [(at, name) for at, name in json.loads(zlib.decompress(base64.b85decode(packed["names"])))]
    files = [_path(places, at, name) for at, name in located]
    if _look(located, files) == record["look"]:
        return None
    sums, sha256 = _contents(located, files)
    if sha256 == record["sha256"]:
        return None
    before = np.frombuffer(base64.b85decode(packed["crc32"]), "<u4").tolist()
    differ = [file for file, old, new in zip(files, before, sums) if old != new]
    if all(new is None for new in sums) and all(_empty(place) for place in places):
        return None  # a disk that is not mounted, say: raw data that is gone is no change
    first = differ[0] if differ else files[0]
    more = f" ({len(differ) - 1:,} more files differ)" if len(differ) > 1 else ""
    return f"{first} {'changed since it was read' if os.path.exists(first) else 'was read and is gone'}{more}"


def _located(path: StrPath, places: Sequence[str]) -> Located:
    """Index of the place that holds a file, and the file's path below it."""
    path = os.fspath(path)
    if path in places:
        return places.index(path), ITSELF
    for at, place in enumerate(places):
        folder = place if place.endswith("/") else place + "/"
        if path.startswith(folder):
            return at, path[len(folder) :]
    for at, place in enumerate(places):  # './photos' and 'photos'
        relative = os.path.relpath(path, place)
        if not relative.startswith(".."):
            return at, relative if relative != "." else ITSELF
    raise ValueError(f"{path} is not below one of {places}")


def _path(places: Sequence[StrPath], at: int, name: str) -> str:
    return os.path.join(places[at], name) if name else str(places[at])


def _look(located: Sequence[Located], files: Sequence[str]) -> str:
    """SHA-256 of names, sizes and change times (ctime, which copying tools cannot set back)."""
    lines: list[str] = []
    for (at, name), file in zip(located, files):
        try:
            state = os.stat(file)
            lines.append(f"{at}\0{name}\0{state.st_size}\0{state.st_ctime_ns}\n")
        except OSError:
            lines.append(f"{at}\0{name}\0gone\n")
    return text_hash("".join(lines))


def _contents(located: Sequence[Located], files: Sequence[str]) -> tuple[list[int | None], str]:
    """CRC-32 of every file, None where it is gone, and SHA-256 of the names and contents of all, in one reading."""
    digest = hashlib.sha256()
    sums: list[int | None] = []
    for (at, name), file in zip(located, files):
        digest.update(f"{at}\0{name}\n".encode())
        try:
            with open(file, "rb", buffering=0) as handle:
                crc, size = 0, 0
                while chunk := handle.read(CHUNK):
                    digest.update(chunk)
                    crc, size = zlib.crc32(chunk, crc), size + len(chunk)
            digest.update(f"\n{size}\n".encode())
            sums.append(crc)
        except OSError:
            digest.update(b"gone\n")
            sums.append(None)
    return sums, digest.hexdigest()


def _empty(place: StrPath) -> bool:
    return not os.path.exists(place) or (os.path.isdir(place) and not os.listdir(place))
