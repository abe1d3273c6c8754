"""Reads Zarr 3 stores; a missing chunk, or a flipped or missing byte, is an error that names the store.

Whole chunks are mapped into memory and verified by their crc32c; ``parallel_reader`` does so in several threads.
"""

import contextlib
import dataclasses
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import SupportsIndex, cast

import crc32c
import numpy as np
import zarr
from numpy.typing import ArrayLike, NDArray
from zarr.storage import LocalStore
from zarr.types import AnyArray

from waypoint.errors import WaypointError
from waypoint.store.types import StrPath, Values
from waypoint.store.zarr.attributes import as_given
from waypoint.store.zarr.typed_zarr import open_group

Selection = SupportsIndex | slice | ArrayLike | tuple[SupportsIndex | slice | ArrayLike, ...]
CRC_RESIDUE = 0x48674BC7  # crc32c of any message that is followed by its own crc32c
HUGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)  # Linux reads a chunk from disk in 2 MiB pages, quick to map


def open_store(path: StrPath) -> zarr.Group:
    """Open a finished store for reading; its attributes have the form that was given to the writer.

    Raises:
        WaypointError: it does not exist, or a chunk is missing.
    """
    if not Path(path, "zarr.json").is_file():
        raise WaypointError(f"{path}: no such store")
    try:
        group = open_group(path)
        require_whole(group, path)
        group = _with_given_attributes(group)
    except WaypointError:
        raise
    except Exception as error:  # damaged metadata, the group's or an array's, fails in many ways
        raise WaypointError(f"{path}: its metadata is damaged ({error}); delete it and rerun") from error
    return group


def _with_given_attributes(group: zarr.Group) -> zarr.Group:
    """An open group whose attributes are decoded from JSON texts."""
    metadata = dataclasses.replace(group.metadata, attributes=as_given(group.metadata.attributes))
    return zarr.Group(zarr.AsyncGroup(metadata=metadata, store_path=group.store_path))


def require_whole(group: zarr.Group, path: StrPath) -> None:
    """Refuse an open group of a store at ``path`` that lacks a chunk.

    Raises:
        WaypointError: names the array and how many chunks are missing.
    """
    for name, array in group.arrays():
        missing = array.nchunks - array.nchunks_initialized
        if missing:
            raise WaypointError(
                f"{path}: {missing} of {array.nchunks} chunks of {name!r} are missing; delete it and rerun"
            )


def blocks(array: AnyArray) -> Iterator[tuple[int, Values]]:
    """Iterate over an array in chunks of whole rows, one chunk at a time: (start, rows).

    Raises:
        WaypointError: a chunk whose checksum does not match.
    """
    step = array.chunks[0]
    for start in range(0, array.shape[0], step):
        yield start, _chunk(array, start // step)[: array.shape[0] - start]


class Rows:
    """Some rows of an array in chunks of whole rows that may be far larger than memory; index it with rows.

    A chunk is verified when its first row is wanted. Rows that lie in one chunk are read together, and no chunk stays
    mapped afterwards: a map for each of thousands of chunks would hold as many open files.

    Args:
        array: an array of an open store.
        rows: the rows of it that count, in their order; default all.
    """

    def __init__(self, array: AnyArray, rows: ArrayLike | None = None):
        self.array = array
        self.verified: set[int] = set()
        self.rows = np.arange(array.shape[0]) if rows is None else np.asarray(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: ArrayLike) -> Values:
        """The rows (B, ...), as a new array.

        Args:
            rows: (B,) integers, an array or a tensor.

        Raises:
            WaypointError: a chunk that is gone, or whose checksum does not match.
        """
        wanted: NDArray[np.int64] = self.rows[np.asarray(rows)]
        values = np.empty((len(wanted), *self.array.shape[1:]), self.array.dtype)
        chunks, places = np.divmod(wanted, self.array.chunks[0])
        for index in np.unique(chunks).tolist():
            here = chunks == index
            values[here] = self._chunk(index)[places[here]]
        return values

    def _chunk(self, index: int) -> Values:
        """A chunk, verified if it has not been."""
        if index in self.verified:
            return as_rows(self.array, map_chunk(self.array, index)[1])
        chunk = _chunk(self.array, index)
        self.verified.add(index)
        return chunk


def folder_of(stored: zarr.Group | AnyArray) -> Path:
    """The folder of the store that a group or an array lies in."""
    return cast(LocalStore, stored.store_path.store).root


def _chunk_path(array: AnyArray, index: int) -> Path:
    key = array.metadata.encode_chunk_key((index, *[0] * (array.ndim - 1)))
    return Path(folder_of(array), array.path, key)


def _chunk(array: AnyArray, index: int) -> Values:
    """One chunk of whole rows, mapped into memory: zarr's reading makes copies and takes 2 to 3 times as long."""
    path, data = map_chunk(array, index)
    require_checksum(crc32c.crc32c(data), path)
    return as_rows(array, data)


def as_rows(array: AnyArray, data: mmap.mmap) -> Values:
    """The bytes of a chunk as an array, without a copy."""
    return np.frombuffer(data, array.dtype, np.prod(array.chunks, dtype=int)).reshape(array.chunks)


def map_chunk(array: AnyArray, index: int) -> tuple[Path, mmap.mmap]:
    """Map one chunk of whole rows into memory, without verifying it.

    Returns:
        its path, and its bytes: the rows and then their checksum.

    Raises:
        WaypointError: it cannot be read, or is of another size.
    """
    path = _chunk_path(array, index)
    size = int(np.prod(array.chunks, dtype=int)) * array.dtype.itemsize + 4
    try:
        with open(path, "rb", buffering=0) as file:
            length = os.fstat(file.fileno()).st_size
            data = mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) if length == size else None
    except OSError as error:
        raise WaypointError(f"{path}: cannot be read ({error.strerror}); delete the store and rerun") from error
    if data is None:
        raise WaypointError(f"{path}: damaged ({length} bytes instead of {size}); delete the store and rerun")
    if HUGE_PAGES:
        with contextlib.suppress(OSError):  # a kernel without them
            data.madvise(HUGE_PAGES)
    return path, data


def require_checksum(checksum: int, path: StrPath) -> None:
    """Refuse a damaged chunk. The checksum is that of all its bytes: rows and stored checksum.

    Raises:
        WaypointError: the checksum is not the constant that every whole chunk has.
    """
    if checksum != CRC_RESIDUE:
        raise WaypointError(f"{path}: damaged (its checksum does not match); delete the store and rerun")


def _has_whole_rows(array: AnyArray) -> bool:
    """Whether chunks can be mapped: numbers, in chunks of whole rows."""
    return array.ndim > 0 and array.dtype.kind in "biuf" and array.chunks[1:] == array.shape[1:]


def verify(array: AnyArray) -> None:
    """Read every chunk of an array once.

    Raises:
        WaypointError: a chunk is missing, or its checksum does not match.
    """
    if _has_whole_rows(array):
        for _ in blocks(array):
            pass
    else:
        read(array)


def read(array: AnyArray, where: Selection = slice(None)) -> Values:
    """Read from an array.

    Args:
        where: an index as of numpy.

    Raises:
        WaypointError: a chunk is missing or damaged; names the store.
    """
    if isinstance(where, slice) and where == slice(None) and _has_whole_rows(array):
        values = np.empty(array.shape, array.dtype)
        for start, rows in blocks(array):
            values[start : start + len(rows)] = rows
        return values
    try:
        return cast(Values, array[cast(slice, where) if array.ndim else ...])
    except (ValueError, RuntimeError) as error:
        place = f"{folder_of(array)}/{array.path}"
        raise WaypointError(f"{place}: damaged ({error}); delete the store and rerun") from error
