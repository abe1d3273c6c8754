"""Fingerprints of raw data and models from outside: file metadata is compared first, contents if that differs."""

import hashlib
from pathlib import Path

from waypoint.store.artifacts.source_files import CHUNK, changed_file


def _files(sources, names):
    """Files and their names: below folders their place there, of single ones those in ``names``, one per source."""
    for source, name in zip(map(Path, sources), names):
        if source.is_dir():
            yield from ((file, file.relative_to(source)) for file in sorted(source.rglob("*")) if file.is_file())
        else:
            yield source, name


def quick_look(sources):
    """SHA-256 over names, sizes and change times (ctime, which copying tools cannot set back)."""
    digest = hashlib.sha256()
    for file, name in _files(sources, _names(sources)):
        state = file.stat()
        digest.update(f"{name}\0{state.st_size}\0{state.st_ctime_ns}\n".encode())
    return digest.hexdigest()


def content_hash(sources, names=None):
    """SHA-256 over names and contents.

    Args:
        names: of single files, where they are to count under others than their own.
    """
    digest = hashlib.sha256()
    for file, name in _files(sources, names or _names(sources)):
        digest.update(f"{name}\0{file.stat().st_size}\n".encode())
        with open(file, "rb") as handle:
            while chunk := handle.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def source_record(sources):
    """The record that an artifact keeps of its sources, places, a look and a content hash; None without any."""
    sources = [source for source in sources if source]
    if not sources:
        return None
    return {"paths": list(map(str, sources)), "look": quick_look(sources), "sha256": content_hash(sources)}


def changed_source(record, sources):
    """How raw data or models differ from those that an artifact was read from; a touch or another place is no change.

    Args:
        record: the artifact's ``source_record`` or ``files_record``, or None.
        sources: files and folders where they lie now; none: gone.

    Returns:
        str: one clause, or None.
    """
    if record and sources and "files" in record:
        return changed_file(record, sources)
    if not record or not sources or quick_look(sources) == record["look"]:
        return None
    names = _names(record.get("paths", sources))  # a file may have another name where it lies now
    if len(names) == len(sources) and content_hash(sources, names) == record["sha256"]:
        return None
    return f"{', '.join(map(str, sources))} changed since it was read"


def _names(sources):
    return [Path(source).name for source in sources]
