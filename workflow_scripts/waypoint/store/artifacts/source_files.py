"""The files that training images were read from: only these count when raw data is compared with what is stored."""

import base64
import hashlib
import json
import os
import zlib

import numpy as np

CHUNK = 4 << 20  # bytes read at once
ITSELF = ""  # the name of a file that is a place by itself


def files_record(places, paths):
    """The record that an artifact keeps of the files that it was read from; None without any.

    Args:
        places: files and folders that the configuration names.
        paths: of the files that were read, each one of the places or below one of them.

    Returns:
        dict: places, a look (names, sizes, change times), a hash of names and contents, and per file its name and a
        checksum, packed, so that the first file that differs can be named.
    """
    places = list(map(str, places))
    found = sorted({_placed(path, places) for path in paths})
    if not found:
        return None
    files = [_path(places, at, name) for at, name in found]
    sums, sha256 = _contents(found, files)
    names = zlib.compress(json.dumps(found, ensure_ascii=False).encode(), 9)
    return {
        "paths": places,
        "look": _look(found, files),
        "sha256": sha256,
        "files": {
            "number": len(files),
            "names": base64.b85encode(names).decode(),
            "crc32": base64.b85encode(np.array(sums, "<u4").tobytes()).decode(),
        },
    }


def changed_file(record, places):
    """The first file that was read and is another now, in one clause; None where all are the same.

    What was never read does not count, nor do places and times.

    Args:
        record: as ``files_record`` made it. places: where the files and folders lie now.
    """
    if len(places) != len(record["paths"]):
        return f"{', '.join(map(str, places))} changed since it was read"
    found = [tuple(entry) for entry in json.loads(zlib.decompress(base64.b85decode(record["files"]["names"])))]
    files = [_path(places, at, name) for at, name in found]
    if _look(found, files) == record["look"]:
        return None
    sums, sha256 = _contents(found, files)
    if sha256 == record["sha256"]:
        return None
    before = np.frombuffer(base64.b85decode(record["files"]["crc32"]), "<u4").tolist()
    differ = [file for file, old, new in zip(files, before, sums) if old != new]
    if all(new is None for new in sums) and all(_empty(place) for place in places):
        return None  # a disk that is not mounted, say: raw data that is gone is no change
    first = differ[0] if differ else files[0]
    more = f" ({len(differ) - 1:,} more files differ)" if len(differ) > 1 else ""
    return f"{first} {'changed since it was read' if os.path.exists(first) else 'was read and is gone'}{more}"


def _placed(path, places):
    """(index of the place, name below it) of a file that was read."""
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


def _path(places, at, name):
    return os.path.join(places[at], name) if name else str(places[at])


def _look(found, files):
    """SHA-256 over names, sizes and change times (ctime, which copying tools cannot set back)."""
    digest = hashlib.sha256()
    for (at, name), file in zip(found, files):
        try:
            state = os.stat(file)
            digest.update(f"{at}\0{name}\0{state.st_size}\0{state.st_ctime_ns}\n".encode())
        except OSError:
            digest.update(f"{at}\0{name}\0gone\n".encode())
    return digest.hexdigest()


def _contents(found, files):
    """Checksums of files, None where one is gone, and SHA-256 over the names and contents of all."""
    digest, sums = hashlib.sha256(), []
    for (at, name), file in zip(found, files):
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


def _empty(place):
    return not os.path.exists(place) or (os.path.isdir(place) and not os.listdir(place))
