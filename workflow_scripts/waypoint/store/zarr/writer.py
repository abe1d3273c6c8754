"""Writes Zarr 3 stores that are whole or absent, finite, checksummed, and open in xarray and pandas.

A store is written beside its final path and renamed last. Float arrays are filled with NaN and every chunk
is written, so a missing chunk can be told from data; crc32c turns a flipped bit into an error.
"""

import contextlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Generator, Sequence
from types import EllipsisType
from typing import cast

import numpy as np
import zarr
from numpy.typing import ArrayLike, DTypeLike
from zarr.codecs import Crc32cCodec
from zarr.core.metadata.v3 import ArrayV3Metadata
from zarr.types import AnyArray

from waypoint.errors import WaypointError
from waypoint.store.artifacts.atomic import atomic_directory
from waypoint.store.artifacts.replaced import name_of
from waypoint.store.types import Attributes, StrPath, Values
from waypoint.store.zarr.attributes import as_stored
from waypoint.store.zarr.hierarchy import mark_groups
from waypoint.store.zarr.reader import folder_of, open_store, require_whole, verify
from waypoint.store.zarr.typed_zarr import consolidate_metadata, create_group, open_group

Index = int | slice | EllipsisType | Values | tuple["int | slice | EllipsisType | Values", ...]
Items = Sequence[object] | Values  # names of rows, for messages
CHUNK_BYTES = 16 << 20  # smaller ones are read back slower, larger ones hardly faster (docs/benchmarks.md)
COLUMN_BYTES = 4 << 20  # a pass writes arrays of scores for many targets at once, with a chunk of each in memory


class StoreWriter:
    """Arrays of one store under construction."""

    def __init__(self, group: zarr.Group):
        self.group = group
        # as created: an array opened again forgets that empty chunks are to be written
        self.arrays: dict[str, AnyArray] = {}
        self.labels: list[str] = []  # names of coordinates that hold for the whole store
        self._held: dict[str, tuple[int, list[Values]]] = {}  # start and rows of a chunk that is not yet full

    def create(
        self,
        name: str,
        dims: Sequence[str],
        shape: Sequence[int],
        dtype: DTypeLike = "float32",
        rows: int | None = None,
        chunks: Sequence[int] | None = None,
    ) -> AnyArray:
        """Create an array in chunks of whole rows, which ``put`` fills.

        Args:
            rows: rows per chunk; default about 16 MB per chunk.
            chunks: a chunk's shape, where it is not of whole rows.
        """
        kind = np.dtype(dtype)
        row_bytes = max(1, int(np.prod(shape[1:])) * kind.itemsize)
        rows = min(shape[0], rows or max(1, CHUNK_BYTES // row_bytes))
        self.arrays[name] = self.group.create_array(
            name,
            shape=tuple(shape),
            dtype=kind,
            chunks=tuple(chunks or (max(1, rows), *shape[1:])),
            dimension_names=dims,
            fill_value=np.nan if kind.kind == "f" else 0,
            compressors=[Crc32cCodec()],
            config={"write_empty_chunks": True},
        )
        return self.arrays[name]

    def adopt(self, array: AnyArray) -> None:
        """Take over an array of another store: its chunks are hard links where the file system can, else copies.

        Raises:
            WaypointError: a chunk whose checksum does not match.
        """
        verify(array)
        source, to = folder_of(array), folder_of(self.group)
        metadata = shutil.ignore_patterns("zarr.json")  # readers see only the store's consolidated metadata
        shutil.copytree(source / array.path, to / array.path, ignore=metadata, copy_function=_link_or_copy)
        consolidated = json.loads((source / "zarr.json").read_text())["consolidated_metadata"]["metadata"]
        (to / array.path / "zarr.json").write_text(json.dumps(consolidated[array.path]))

    def put(self, name: str, where: Index, values: ArrayLike, what: str, items: Items) -> None:
        """Write ``values`` at index ``where``.

        Rows that come a few at a time, in order, wait until they fill a chunk: writing each by itself would read and
        write the whole chunk again.

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

    def _append(self, name: str, start: int, values: Values) -> None:
        """Write the rows that fill chunks, or end the array, and hold back the others."""
        array, stop = self.arrays[name], start + len(values)
        if name in self._held and self._held[name][0] + sum(map(len, self._held[name][1])) != start:
            self._write_held(name)
        nothing: tuple[int, list[Values]] = (start, [])
        first, held = self._held.pop(name, nothing)
        full = stop if stop == array.shape[0] else stop - stop % array.chunks[0]
        if full <= first:
            self._held[name] = first, [*held, values.copy()]
            return
        rows = np.concatenate([*held, values]) if held else values
        array[first:full] = rows[: full - first]
        if full < stop:
            self._held[name] = full, [rows[full - first :].copy()]

    def label(self, method: str, target: str) -> None:
        """Say whose scores these are, so that xarray opens those of many targets, or of many methods, as one dataset.

        ``target`` is a dimension of length one, along which ``xarray.open_mfdataset`` joins stores by itself, and
        ``method`` a coordinate without a dimension.
        """
        self._write_texts("method", [], np.array(method))
        self._write_texts("target", ["target"], np.array([target]))
        self.labels.append("method")

    def finish(self) -> None:
        """Write the rows that are still held back, and list the labels in every array's attributes, as xarray does."""
        for name in list(self._held):
            self._write_held(name)
        for name, array in self.arrays.items() if self.labels else ():
            if cast(ArrayV3Metadata, array.metadata).dimension_names != (name,):  # an index has no coordinates
                array.attrs["coordinates"] = " ".join(self.labels)

    def _write_held(self, name: str) -> None:
        first, held = self._held.pop(name)
        rows = np.concatenate(held)
        self.arrays[name][first : first + len(rows)] = rows

    def write(
        self, name: str, dims: Sequence[str], values: ArrayLike, what: str | None = None, items: Items | None = None
    ) -> None:
        """Create and fill an array in one step; ``what`` and ``items`` as in ``put``."""
        values = np.asarray(values)
        if values.dtype.kind in "UO":
            self._write_texts(name, dims, values)
            return
        self.create(name, dims, values.shape, values.dtype)
        self.put(name, slice(None), values, what or f"{dims[0]} index", range(len(values)) if items is None else items)

    def _write_texts(self, name: str, dims: Sequence[str], values: Values) -> None:
        array = self.group.create_array(
            name,
            shape=values.shape,
            dtype=str,
            dimension_names=dims,
            compressors=[Crc32cCodec()],
            config={"write_empty_chunks": True},
        )
        array[...] = values.astype(object) if values.ndim else values.item()


def _link_or_copy(source: str, to: str) -> None:
    """Link a chunk, or copy it; chunks are never changed in place, so two stores may share them."""
    try:
        os.link(source, to)
    except OSError:  # another device, or a file system without links
        shutil.copyfile(source, to)


class Columns:
    """An array of a store under construction that grows along its last dimension, about 4 MB in memory.

    Args:
        store: the ``StoreWriter``. what, items: as in ``StoreWriter.put``.
    """

    def __init__(
        self, store: StoreWriter, name: str, dims: Sequence[str], shape: Sequence[int], what: str, items: Items
    ):
        self.store, self.name, self.what, self.items = store, name, what, items
        self.length = min(shape[-1], max(1, COLUMN_BYTES // (4 * int(np.prod(shape[:-1])))))
        store.create(name, dims, shape, chunks=(*shape[:-1], self.length))
        self.held = np.empty((*shape[:-1], self.length), np.float32)
        self.start, self.filled, self.total = 0, 0, shape[-1]

    def append(self, values: Values) -> None:
        """Add columns (..., b) and write the chunks that are full."""
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
def create_store(path: StrPath, attributes: Callable[[], Attributes]) -> Generator[StoreWriter]:
    """Create a store, which appears at ``path`` when the block ends without an error; yields its ``StoreWriter``.

    Args:
        attributes: called last; returns the store's attributes.
    """
    with atomic_directory(path) as tmp, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata")
        warnings.filterwarnings("ignore", "The data type")
        group = create_group(tmp)
        writer = StoreWriter(group)
        yield writer
        writer.finish()
        group.attrs.update(as_stored(attributes()))
        require_whole(group, path)
        consolidate_metadata(tmp)
    _join_hierarchy(path)


def adopt_store(source: StrPath, path: StrPath, attributes: Callable[[], Attributes]) -> None:
    """Move a finished store to ``path``, under new attributes (a function, called last)."""
    with atomic_directory(path) as tmp, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata")
        os.rmdir(tmp)
        shutil.move(source, tmp)  # a rename, but to a scratch folder on another disk
        open_group(tmp, "r+").attrs.put(dict(as_stored(attributes())))
        consolidate_metadata(tmp)
    _join_hierarchy(path)


def _join_hierarchy(path: StrPath) -> None:
    """Add a finished store to the groups of its experiment, where it belongs to one."""
    name = name_of(path)
    if name != str(path):
        mark_groups(str(path)[: -len(name)], name)


def link_store(source: StrPath, path: StrPath, attributes: Callable[[], Attributes]) -> None:
    """Create a store at ``path`` with the arrays of a finished one and other attributes (a function, called last).

    Chunks are hard links, so that they take no space twice; copies where the file system has no links.

    Raises:
        WaypointError: the source is not whole.
    """
    group = open_store(source)
    with create_store(path, attributes) as store:
        for _, array in group.arrays():
            store.adopt(array)
