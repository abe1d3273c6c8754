"""Fingerprints: SHA-256 of files, folders, arrays and JSON, which artifacts store and compare.

Never change how a hash is computed: every artifact that stores it would be out of date.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from waypoint.store.types import StrPath


class Digest:
    """A SHA-256 of parts, which need not be in memory together."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, part: bytes) -> None:
        """Hash a further part."""
        self._digest.update(part)

    def hex(self) -> str:
        """Return the hash of all parts so far."""
        return self._digest.hexdigest()


def file_hash(path: StrPath) -> str:
    """SHA-256 of a file's contents.

    Raises:
        OSError: it cannot be read.
    """
    return files_hash([("", path)])


def files_hash(files: Iterable[tuple[str, StrPath]]) -> str:
    """SHA-256 of the contents of several files, one after the other.

    Args:
        files: (heading, path); the heading, such as the file's name, is hashed before its contents.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for heading, path in files:
        digest.update(heading.encode())
        with open(path, "rb") as handle:
            hashlib.file_digest(handle, lambda: digest)
    return digest.hexdigest()


def weights_hash(folder: StrPath) -> str:
    """SHA-256 of all safetensors files in a folder, by which results identify their model."""
    return files_hash(("", file) for file in sorted(Path(folder).rglob("*.safetensors")))


def content_hash(sources: Sequence[StrPath], names: Sequence[str] | None = None) -> str:
    """SHA-256 of the names, sizes and contents of files and of all files below folders.

    Args:
        names: hashed instead of the names of single files, one for each source.
    """
    return files_hash((f"{name}\0{file.stat().st_size}\n", file) for file, name in _named_files(sources, names))


def quick_look(sources: Sequence[StrPath]) -> str:
    """SHA-256 of names, sizes and change times (ctime, which copying tools cannot reset)."""
    states = ((name, file.stat()) for file, name in _named_files(sources))
    return text_hash("".join(f"{name}\0{state.st_size}\0{state.st_ctime_ns}\n" for name, state in states))


def text_hash(text: str) -> str:
    """SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def json_hash(value: object) -> str:
    """SHA-256 of a value as JSON with sorted keys."""
    return text_hash(json.dumps(value, sort_keys=True))


def array_hash(values: ArrayLike) -> str:
    """SHA-256 of an array's values in C order; shape and type are not hashed."""
    return hashlib.sha256(np.asarray(values).tobytes()).hexdigest()


def arrays_hash(arrays: Iterable[tuple[str, ArrayLike]]) -> str:
    """SHA-256 of the names and values of arrays, in order."""
    digest = hashlib.sha256()
    for name, values in arrays:
        digest.update(name.encode() + np.asarray(values).tobytes())
    return digest.hexdigest()


def _named_files(sources: Sequence[StrPath], names: Sequence[str] | None = None) -> Iterable[tuple[Path, str]]:
    """Yield all files with the names to hash: the path within its folder, or a single file's own or given name."""
    paths = [Path(source) for source in sources]
    for source, name in zip(paths, names or [path.name for path in paths]):
        if source.is_dir():
            yield from ((file, str(file.relative_to(source))) for file in sorted(source.rglob("*")) if file.is_file())
        else:
            yield source, name
