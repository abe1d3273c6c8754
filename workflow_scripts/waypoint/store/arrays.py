"""Zarr 3 stores that are whole or absent, finite, checksummed, and open in xarray and pandas.

A store is written beside its final path and renamed last. Float arrays are filled with NaN and every chunk
is written, so a missing chunk can be told from data; crc32c turns a flipped bit into an error.
"""

import contextlib
import json
import mmap
import os
import shutil
import warnings
from pathlib import Path

import crc32c
import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

from ..errors import WaypointError
from .whole import whole_directory

CHUNK_BYTES = 16 << 20  # smaller ones are read back slower, larger ones hardly faster (docs/benchmarks.md)
COLUMN_BYTES = 4 << 20  # a pass writes arrays of scores for many targets at once, with a chunk of each in memory
CRC_RESIDUE = 0x48674BC7  # crc32c of any message that is followed by its own crc32c
HUGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)  # Linux reads a chunk from disk in 2 MiB pages, quick to map


class StoreWriter:
    """Arrays of one store under construction."""

    def __init__(self, group):
        self.group = group
        self.arrays = {}  # as created: an array opened again forgets that empty chunks are to be written
        self._held = {}  # name: start, rows of a chunk that is not yet full

    def create(self, name, dims, shape, dtype="float32", rows=None, chunks=None):
        """An array to be filled by ``put``, in chunks of whole rows.

        Args:
            rows: rows per chunk; default about 16 MB per chunk.
            chunks: a chunk's shape, where it is not of whole rows.
        """
        dtype = np.dtype(dtype)
        row_bytes = max(1, int(np.prod(shape[1:])) * dtype.itemsize)
        rows = min(shape[0], rows or max(1, CHUNK_BYTES // row_bytes))
        self.arrays[name] = self.group.create_array(
            name,
            shape=shape,
            dtype=dtype,
            chunks=chunks or (max(1, rows), *shape[1:]),
            dimension_names=dims,
            fill_value=np.nan if dtype.kind == "f" else 0,
            compressors=[Crc32cCodec()],
            config={"write_empty_chunks": True},
        )
        return self.arrays[name]

    def adopt(self, array):
        """Take an array of another store as it is: its chunks are linked where the file system can, else copied.

        Raises:
            WaypointError: a chunk whose checksum does not match.
        """
        verify(array)
        source, to = (Path(group.store_path.store.root) for group in (array, self.group))
        own = shutil.ignore_patterns("zarr.json")  # only the store's consolidated metadata is what readers see
        shutil.copytree(source / array.path, to / array.path, ignore=own, copy_function=_link_or_copy)
        consolidated = json.loads((source / "zarr.json").read_text())["consolidated_metadata"]["metadata"]
        (to / array.path / "zarr.json").write_text(json.dumps(consolidated[array.path]))

    def put(self, name, where, values, what, items):
        """Write ``values`` at index ``where``.

        Rows that come a few at a time, in order, wait until they fill a chunk: each written by itself would have the
        whole chunk read and written again.

        Args:
            where: an index; a slice has a start and a stop, or neither.
            what, items: name row r in an error about a non-finite value, as "``what`` ``items[r]``".

        Raises:
            WaypointError: a value is NaN or infinite.
        """
        values = np.asarray(values)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            bad = int(np.argwhere(~np.isfinite(values))[0][0])
            raise WaypointError(f"{name}: not finite at {what} {items[bad]}; nothing was stored")
        if isinstance(where, slice) and where.start is not None:
            self._append(name, where.start, values)
        else:
            self.arrays[name][where] = values

    def _append(self, name, start, values):
        """Write the rows that fill chunks, or end the array; the others wait."""
        array, stop = self.arrays[name], start + len(values)
        if name in self._held and self._held[name][0] + sum(map(len, self._held[name][1])) != start:
            self._write_held(name)
        first, held = self._held.pop(name, (start, []))
        full = stop if stop == array.shape[0] else stop - stop % array.chunks[0]
        if full <= first:
            self._held[name] = first, [*held, values.copy()]
            return
        rows = np.concatenate([*held, values]) if held else values
        array[first:full] = rows[: full - first]
        if full < stop:
            self._held[name] = full, [rows[full - first :].copy()]

    def finish(self):
        """Write the rows that wait still."""
        for name in list(self._held):
            self._write_held(name)

    def _write_held(self, name):
        first, held = self._held.pop(name)
        rows = np.concatenate(held)
        self.arrays[name][first : first + len(rows)] = rows

    def write(self, name, dims, values, what=None, items=None):
        """Create an array and fill it at once; ``what`` and ``items`` as in ``put``."""
        values = np.asarray(values)
        if values.dtype.kind in "UO":
            array = self.group.create_array(
                name,
                shape=values.shape,
                dtype=str,
                dimension_names=dims,
                compressors=[Crc32cCodec()],
                config={"write_empty_chunks": True},
            )
            array[:] = values.astype(object)
            return
        self.create(name, dims, values.shape, values.dtype)
        self.put(name, slice(None), values, what or f"{dims[0]} index", range(len(values)) if items is None else items)


def _link_or_copy(source, to):
    """Chunks are never changed in place, so that two stores may share them."""
    try:
        os.link(source, to)
    except OSError:  # another device, or a file system without links
        shutil.copyfile(source, to)


class Columns:
    """An array of a store under construction that grows along its last dimension, about 4 MB in memory.

    Args:
        store: the ``StoreWriter``. what, items: as in ``StoreWriter.put``.
    """

    def __init__(self, store, name, dims, shape, what, items):
        self.store, self.name, self.what, self.items = store, name, what, items
        self.length = min(shape[-1], max(1, COLUMN_BYTES // (4 * int(np.prod(shape[:-1])))))
        store.create(name, dims, shape, chunks=(*shape[:-1], self.length))
        self.held = np.empty((*shape[:-1], self.length), np.float32)
        self.start, self.filled, self.total = 0, 0, shape[-1]

    def append(self, values):
        """Add columns (..., b); whole chunks are written."""
        taken = 0
        while taken < values.shape[-1]:
            more = min(self.length - self.filled, values.shape[-1] - taken)
            self.held[..., self.filled : self.filled + more] = values[..., taken : taken + more]
            taken, self.filled = taken + more, self.filled + more
            if self.filled == self.length or self.start + self.filled == self.total:
                where = (..., slice(self.start, self.start + self.filled))
                self.store.put(self.name, where, self.held[..., : self.filled], self.what, self.items)
                self.start, self.filled = self.start + self.filled, 0


@contextlib.contextmanager
def create_store(path, attributes):
    """A new store at ``path``; yields a ``StoreWriter``. It appears whole when the block ends.

    Args:
        attributes: a function called last, whose dict becomes the store's attributes.
    """
    with whole_directory(path) as tmp, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata")
        warnings.filterwarnings("ignore", "The data type")
        group = zarr.open_group(tmp, mode="w-", zarr_format=3)
        writer = StoreWriter(group)
        yield writer
        writer.finish()
        group.attrs.update(attributes())
        _require_whole(group, path)
        zarr.consolidate_metadata(tmp)


def adopt_store(source, path, attributes):
    """Move a finished store to ``path``, under new attributes (a function, called last)."""
    with whole_directory(path) as tmp, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata")
        os.rmdir(tmp)
        shutil.move(source, tmp)  # a rename, but to a scratch folder on another disk
        zarr.open_group(tmp, mode="r+").attrs.put(attributes())
        zarr.consolidate_metadata(tmp)


def open_store(path):
    """Open a finished store for reading.

    Raises:
        WaypointError: it does not exist, or a chunk is missing.
    """
    if not Path(path, "zarr.json").is_file():
        raise WaypointError(f"{path}: no such store")
    try:
        group = zarr.open_group(path, mode="r")
        _require_whole(group, path)
    except WaypointError:
        raise
    except Exception as error:  # damaged metadata, the group's or an array's, fails in many ways
        raise WaypointError(f"{path}: its metadata is damaged ({error}); delete it and rerun") from error
    return group


def _require_whole(group, path):
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

    A chunk is verified when its first row is wanted. Rows are read, not mapped: a map for each of thousands of chunks
    would hold as many open files.

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
        found = np.empty((len(wanted), *self.array.shape[1:]), self.array.dtype)
        for place, row in enumerate(wanted):
            found[place] = self._row(*divmod(int(row), self.array.chunks[0]))
        return found

    def _row(self, index, row):
        if index not in self.verified:
            _chunk(self.array, index)
            self.verified.add(index)
        path, shape = _chunk_path(self.array, index), self.array.shape[1:]
        values = np.prod(shape, dtype=int)
        try:
            found = np.fromfile(path, self.array.dtype, values, offset=row * values * self.array.dtype.itemsize)
        except OSError as error:
            raise WaypointError(f"{path}: cannot be read ({error.strerror}); delete the store and rerun") from error
        if len(found) < values:
            raise WaypointError(f"{path}: damaged (it has shrunk); delete the store and rerun")
        return found.reshape(shape)


def _chunk_path(array, index):
    key = array.metadata.encode_chunk_key((index, *[0] * (array.ndim - 1)))
    return Path(array.store_path.store.root, array.path, key)


def _chunk(array, index):
    """One chunk of whole rows, mapped into memory: zarr's own reading makes copies that take 2 to 3 times as long."""
    path, data = map_chunk(array, index)
    require_checksum(crc32c.crc32c(data), path)
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
        return array[where]
    except (ValueError, RuntimeError) as error:
        place = f"{array.store_path.store.root}/{array.path}"
        raise WaypointError(f"{place}: damaged ({error}); delete the store and rerun") from error
