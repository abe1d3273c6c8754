"""Reading Zarr 3 stores: a missing chunk, or a flipped or missing byte, is an error that names the store.

Whole chunks are mapped into memory and verified by their crc32c; ``parallel_reader`` does so in several threads.
"""

import contextlib
import dataclasses
import mmap
import os
from pathlib import Path

import crc32c
import numpy as np
import zarr

from waypoint.errors import WaypointError
from waypoint.store.zarr.attributes import given

CRC_RESIDUE = 0x48674BC7  # crc32c of any message that is followed by its own crc32c
HUGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)  # Linux reads a chunk from disk in 2 MiB pages, quick to map


def open_store(path):
    """Open a finished store for reading; its attributes are as they were given to its writer.

    Raises:
        WaypointError: it does not exist, or a chunk is missing.
    """
    if not Path(path, "zarr.json").is_file():
        raise WaypointError(f"{path}: no such store")
    try:
        group = zarr.open_group(path, mode="r")
        require_whole(group, path)
        group = _with_given_attributes(group)
    except WaypointError:
        raise
    except Exception as error:  # damaged metadata, the group's or an array's, fails in many ways
        raise WaypointError(f"{path}: its metadata is damaged ({error}); delete it and rerun") from error
    return group


def _with_given_attributes(group):
    """An open group whose attributes are no JSON texts any more."""
    metadata = dataclasses.replace(group.metadata, attributes=given(group.metadata.attributes))
    return zarr.Group(zarr.AsyncGroup(metadata=metadata, store_path=group.store_path))


def require_whole(group, path):
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


def blocks(array):
    """Iterate (start, rows) over the first dimension of an array in chunks of whole rows, one chunk at a time.

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

    def __init__(self, array, rows=None):
        self.array, self.verified = array, set()
        self.rows = np.arange(array.shape[0]) if rows is None else np.asarray(rows)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, rows):
        """The rows (B, ...), as a new array.

        Args:
            rows: (B,) integers, an array or a tensor.

        Raises:
            WaypointError: a chunk that is gone, or whose checksum does not match.
        """
        wanted = self.rows[np.asarray(rows)]
        values = np.empty((len(wanted), *self.array.shape[1:]), self.array.dtype)
        chunks, places = np.divmod(wanted, self.array.chunks[0])
        for index in np.unique(chunks).tolist():
            here = chunks == index
            values[here] = self._chunk(index)[places[here]]
        return values

    def _chunk(self, index):
        """A chunk, verified if it has not been."""
        if index in self.verified:
            return _as_rows(self.array, map_chunk(self.array, index)[1])
        chunk = _chunk(self.array, index)
        self.verified.add(index)
        return chunk


def _chunk_path(array, index):
    key = array.metadata.encode_chunk_key((index, *[0] * (array.ndim - 1)))
    return Path(array.store_path.store.root, array.path, key)


def _chunk(array, index):
    """One chunk of whole rows, mapped into memory: zarr's own reading makes copies that take 2 to 3 times as long."""
    path, data = map_chunk(array, index)
    require_checksum(crc32c.crc32c(data), path)
    return _as_rows(array, data)


def _as_rows(array, data):
    """The bytes of a chunk as an array, without a copy."""
    return np.frombuffer(data, array.dtype, np.prod(array.chunks, dtype=int)).reshape(array.chunks)


def map_chunk(array, index):
    """Path of one chunk of whole rows, and its bytes, mapped into memory: the rows, then their checksum, not verified.

    Raises:
        WaypointError: it cannot be read, or is of another size.
    """
    path = _chunk_path(array, index)
    size = np.prod(array.chunks, dtype=int) * array.dtype.itemsize + 4
    try:
        with open(path, "rb", buffering=0) as file:
            found = os.fstat(file.fileno()).st_size
            data = mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) if found == size else None
    except OSError as error:
        raise WaypointError(f"{path}: cannot be read ({error.strerror}); delete the store and rerun") from error
    if data is None:
        raise WaypointError(f"{path}: damaged ({found} bytes instead of {size}); delete the store and rerun")
    if HUGE_PAGES:
        with contextlib.suppress(OSError):  # a kernel without them
            data.madvise(HUGE_PAGES)
    return path, data


def require_checksum(found, path):
    """Refuse a chunk whose bytes, its own checksum among them, have another checksum than all whole chunks have.

    Raises:
        WaypointError: it is damaged.
    """
    if found != CRC_RESIDUE:
        raise WaypointError(f"{path}: damaged (its checksum does not match); delete the store and rerun")


def _has_whole_rows(array):
    """Whether chunks can be mapped: numbers, in chunks of whole rows."""
    return array.ndim and array.dtype.kind in "biuf" and array.chunks[1:] == array.shape[1:]


def verify(array):
    """Look at every chunk of an array once.

    Raises:
        WaypointError: one that is lost, or whose checksum does not match.
    """
    if _has_whole_rows(array):
        for _ in blocks(array):
            pass
    else:
        read(array)


def read(array, where=slice(None)):
    """Read from an array; a flipped or lost byte is an error that names the store."""
    if isinstance(where, slice) and where == slice(None) and _has_whole_rows(array):
        values = np.empty(array.shape, array.dtype)
        for start, rows in blocks(array):
            values[start : start + len(rows)] = rows
        return values
    try:
        return array[where if array.ndim else ...]
    except (ValueError, RuntimeError) as error:
        place = f"{array.store_path.store.root}/{array.path}"
        raise WaypointError(f"{place}: damaged ({error}); delete the store and rerun") from error
