"""Writing Zarr 3 stores that are whole or absent, finite, checksummed, and open in xarray and pandas.

A store is written beside its final path and renamed last. Float arrays are filled with NaN and every chunk
is written, so a missing chunk can be told from data; crc32c turns a flipped bit into an error.
"""

import contextlib
import json
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

from waypoint.errors import WaypointError
from waypoint.store.artifacts.atomic import atomic_directory
from waypoint.store.artifacts.replaced import name_of
from waypoint.store.zarr.attributes import stored
from waypoint.store.zarr.hierarchy import mark_groups
from waypoint.store.zarr.reader import open_store, require_whole, verify

CHUNK_BYTES = 16 << 20  # smaller ones are read back slower, larger ones hardly faster (docs/benchmarks.md)
COLUMN_BYTES = 4 << 20  # a pass writes arrays of scores for many targets at once, with a chunk of each in memory


class StoreWriter:
    """Arrays of one store under construction."""

    def __init__(self, group):
        self.group = group
        self.arrays = {}  # as created: an array opened again forgets that empty chunks are to be written
        self.labels = []  # names of coordinates that hold for the whole store
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

    def label(self, **values):
        """Coordinates without a dimension: what a store is of, where many are opened as one (xarray's open_mfdataset).

        Args:
            values: {name: text}.
        """
        for name, value in values.items():
            self._write_texts(name, [], np.array(value))
            self.labels.append(name)

    def finish(self):
        """Write the rows that wait still, and name the store's labels to its arrays, as xarray reads them."""
        for name in list(self._held):
            self._write_held(name)
        for name, array in self.arrays.items() if self.labels else ():
            if array.metadata.dimension_names != (name,):  # an index has no coordinates of its own
                array.attrs["coordinates"] = " ".join(self.labels)

    def _write_held(self, name):
        first, held = self._held.pop(name)
        rows = np.concatenate(held)
        self.arrays[name][first : first + len(rows)] = rows

    def write(self, name, dims, values, what=None, items=None):
        """Create an array and fill it at once; ``what`` and ``items`` as in ``put``."""
        values = np.asarray(values)
        if values.dtype.kind in "UO":
            self._write_texts(name, dims, values)
            return
        self.create(name, dims, values.shape, values.dtype)
        self.put(name, slice(None), values, what or f"{dims[0]} index", range(len(values)) if items is None else items)

    def _write_texts(self, name, dims, values):
        array = self.group.create_array(
            name,
            shape=values.shape,
            dtype=str,
            dimension_names=dims,
            compressors=[Crc32cCodec()],
            config={"write_empty_chunks": True},
        )
        array[...] = values.astype(object) if values.ndim else values.item()


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
    with atomic_directory(path) as tmp, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata")
        warnings.filterwarnings("ignore", "The data type")
        group = zarr.open_group(tmp, mode="w-", zarr_format=3)
        writer = StoreWriter(group)
        yield writer
        writer.finish()
        group.attrs.update(stored(attributes()))
        require_whole(group, path)
        zarr.consolidate_metadata(tmp)
    _join_hierarchy(path)


def adopt_store(source, path, attributes):
    """Move a finished store to ``path``, under new attributes (a function, called last)."""
    with atomic_directory(path) as tmp, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata")
        os.rmdir(tmp)
        shutil.move(source, tmp)  # a rename, but to a scratch folder on another disk
        zarr.open_group(tmp, mode="r+").attrs.put(stored(attributes()))
        zarr.consolidate_metadata(tmp)
    _join_hierarchy(path)


def _join_hierarchy(path):
    """Make a finished store a part of its experiment, where it belongs to one."""
    name = name_of(path)
    if name != str(path):
        mark_groups(str(path)[: -len(name)], name)


def link_store(source, path, attributes):
    """The arrays of a finished store also at ``path``, under attributes of their own (a function, called last).

    Chunks are hard links, so that they take no space twice; copies where the file system has no links.

    Raises:
        WaypointError: the source is not whole.
    """
    group = open_store(source)
    with create_store(path, attributes) as store:
        for _, array in group.arrays():
            store.adopt(array)
