"""Reads Zarr 3 stores; a missing chunk, or a flipped or missing byte, is an error that names the store.

Whole chunks are mapped into memory and verified by crc32c; ``parallel_reader`` does this in several threads.
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
CRC_RESIDUE = 0x48674BC7  # crc32c of any message followed by its own crc32c
HUGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)  # on Linux, 2 MiB pages, which are quick to map


def open_store(path: StrPath) -> zarr.Group:
    """Open a finished store for reading, with its attributes decoded.

    Raises:
        WaypointError: it does not exist, or a chunk is missing.
    """
    if not Path(path, "zarr.json").is_file():
        raise WaypointError(f"{path}: no such store")
    try:
        group = open_group(path)
        require_whole(group, path)
        group = _with_decoded_attributes(group)
    except WaypointError:
        raise
    except Exception as error:  # damaged metadata of the group or an array fails in many ways
        raise WaypointError(f"{path}: its metadata is damaged ({error}); delete it and rerun") from error
    return group


def _with_decoded_attributes(group: zarr.Group) -> zarr.Group:
    """Return an open group with its attributes decoded from JSON text."""
    metadata = dataclasses.replace(group.metadata, attributes=as_given(group.metadata.attributes))
    return zarr.Group(zarr.AsyncGroup(metadata=metadata, store_path=group.store_path))


def require_whole(group: zarr.Group, path: StrPath) -> None:
    """Refuse the open store at ``path`` if it lacks a chunk.

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
    """Iterate over an array one chunk of whole rows at a time: (start, rows).

    Raises:
        WaypointError: a chunk whose checksum does not match.
    """
    step = array.chunks[0]
    for start in range(0, array.shape[0], step):
        yield start, _chunk(array, start // step)[: array.shape[0] - start]


class Rows:
    """Selected rows of an array that may be far larger than memory; index them by position.

    A chunk is verified when its first row is read. Rows of one chunk are read together, and no chunk stays mapped
    afterwards: mapping thousands of chunks would keep as many files open.

    Args:
        array: an array of an open store, in chunks of whole rows.
        rows: the selected rows, in order; default all.
    """

    def __init__(self, array: AnyArray, rows: ArrayLike | None = None):
        self.array = array
        self.verified: set[int] = set()
        self.rows = np.arange(array.shape[0]) if rows is None else np.asarray(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: ArrayLike) -> Values:
        """Read rows (B, ...) into a new array.

        Args:
            rows: (B,) positions, an array or a tensor.

        Raises:
            WaypointError: a chunk is missing, or its checksum does not match.
        """
        selected: NDArray[np.int64] = self.rows[np.asarray(rows)]
        values = np.empty((len(selected), *self.array.shape[1:]), self.array.dtype)
        chunks, offsets = np.divmod(selected, self.array.chunks[0])
        for index in np.unique(chunks).tolist():
            in_chunk = chunks == index
            values[in_chunk] = self._chunk(index)[offsets[in_chunk]]
        return values

    def _chunk(self, index: int) -> Values:
        """Return a chunk, verified on first use."""
        if index in self.verified:
            return as_rows(self.array, map_chunk(self.array, index)[1])
        chunk = _chunk(self.array, index)
        self.verified.add(index)
        return chunk


def folder_of(node: zarr.Group | AnyArray) -> Path:
    """Return the folder of the store that contains a group or an array."""
    return cast(LocalStore, node.store_path.store).root


def _chunk_path(array: AnyArray, index: int) -> Path:
    key = array.metadata.encode_chunk_key((index, *[0] * (array.ndim - 1)))
    return Path(folder_of(array), array.path, key)


def _chunk(array: AnyArray, index: int) -> Values:
    """Map and verify one chunk of whole rows; reading through zarr copies it and takes 2 to 3 times as long."""
    path, data = map_chunk(array, index)
    require_checksum(crc32c.crc32c(data), path)
    return as_rows(array, data)


def as_rows(array: AnyArray, data: mmap.mmap) -> Values:
    """View the bytes of a chunk as an array, without copying them."""
    return np.frombuffer(data, array.dtype, np.prod(array.chunks, dtype=int)).reshape(array.chunks)


def map_chunk(array: AnyArray, index: int) -> tuple[Path, mmap.mmap]:
    """Map one chunk of whole rows into memory, without verifying it.

    Returns:
        its path, and its bytes: the rows followed by their checksum.

    Raises:
        WaypointError: it cannot be read, or has the wrong size.
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
        with contextlib.suppress(OSError):  # kernel without huge pages
            data.madvise(HUGE_PAGES)
    return path, data


def require_checksum(checksum: int, path: StrPath) -> None:
    """Refuse a damaged chunk. The checksum covers all its bytes: the rows and the stored checksum.

    Raises:
        WaypointError: the checksum is not the constant that every intact chunk has.
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


def read(array: AnyArray, index: Selection = slice(None)) -> Values:
    """Read an array, or a part of it.

    Args:
        index: a numpy index.

    Raises:
        WaypointError: a chunk is missing or damaged; names the store.
    """
    if isinstance(index, slice) and index == slice(None) and _has_whole_rows(array):
        values = np.empty(array.shape, array.dtype)
        for start, rows in blocks(array):
            values[start : start + len(rows)] = rows
        return values
    try:
        return cast(Values, array[cast(slice, index) if array.ndim else ...])
    except (ValueError, RuntimeError) as error:
        source = f"{folder_of(array)}/{array.path}"
        raise WaypointError(f"{source}: damaged ({error}); delete the store and rerun") from error
