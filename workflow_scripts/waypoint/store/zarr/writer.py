"""Writes Zarr 3 stores that are complete or absent, finite, checksummed, and readable by xarray and pandas.

A store is written beside its final path and renamed last. Float arrays have the fill value NaN and every chunk is
written, so a missing chunk cannot pass for data; crc32c turns a flipped bit into an error.
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
CHUNK_BYTES = 16 << 20  # smaller chunks are slower to read, larger ones hardly faster (docs/benchmarks.md)
BROWSED_BYTES = 256 << 10  # per chunk of pictures that the explorer fetches one step at a time
COLUMN_BYTES = 4 << 20  # a pass writes the scores of many targets at once, with a chunk of each in memory


class StoreWriter:
    """The arrays of a store under construction."""

    def __init__(self, group: zarr.Group):
        self.group = group
        # the objects first created: a reopened array forgets that empty chunks are to be written
        self.arrays: dict[str, AnyArray] = {}
        self.labels: list[str] = []  # names of coordinates that apply to the whole store
        self._pending: dict[str, tuple[int, list[Values]]] = {}  # start and rows of chunks not yet full

    def create(
        self,
        name: str,
        dims: Sequence[str],
        shape: Sequence[int],
        dtype: DTypeLike = "float32",
        rows: int | None = None,
        chunks: Sequence[int] | None = None,
        chunk_bytes: int | None = None,
    ) -> AnyArray:
        """Create an array in chunks of whole rows, to be filled by ``put``.

        Args:
            rows: rows per chunk; default as many as fit into ``chunk_bytes``, about 16 MB, at least one.
            chunks: shape of chunks that are not of whole rows.
        """
        kind = np.dtype(dtype)
        row_bytes = max(1, int(np.prod(shape[1:])) * kind.itemsize)
        rows = min(shape[0], rows or max(1, (chunk_bytes or CHUNK_BYTES) // row_bytes))
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
        """Take over an array of another store; chunks are hard-linked if the file system allows it, else copied.

        Raises:
            WaypointError: a chunk whose checksum does not match.
        """
        verify(array)
        source, target = folder_of(array), folder_of(self.group)
        ignored = shutil.ignore_patterns("zarr.json")  # readers see only the store's consolidated metadata
        shutil.copytree(source / array.path, target / array.path, ignore=ignored, copy_function=_link_or_copy)
        consolidated = json.loads((source / "zarr.json").read_text())["consolidated_metadata"]["metadata"]
        (target / array.path / "zarr.json").write_text(json.dumps(consolidated[array.path]))

    def put(self, name: str, index: Index, values: ArrayLike, row_kind: str, items: Items) -> None:
        """Write ``values`` at ``index``.

        Rows that arrive a few at a time, in order, are buffered until they fill a chunk: writing them one by one would
        read and write the whole chunk each time.

        Args:
            index: a slice has a start and a stop, or neither.
            row_kind, items: an error about a non-finite value calls row r "``row_kind`` ``items[r]``".

        Raises:
            WaypointError: a value is NaN or infinite.
        """
        values = np.asarray(values)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            bad = int(np.argwhere(~np.isfinite(values))[0][0])
            raise WaypointError(f"{name}: not finite at {row_kind} {items[bad]}; nothing was stored")
        if isinstance(index, slice) and index.start is not None:
            self._append(name, index.start, values)
        else:
            self.arrays[name][index] = values

    def _append(self, name: str, start: int, values: Values) -> None:
        """Write the rows that fill chunks or end the array, and buffer the rest."""
        array, stop = self.arrays[name], start + len(values)
        if name in self._pending and self._pending[name][0] + sum(map(len, self._pending[name][1])) != start:
            self._write_pending(name)
        empty: tuple[int, list[Values]] = (start, [])
        first, buffered = self._pending.pop(name, empty)
        end = stop if stop == array.shape[0] else stop - stop % array.chunks[0]
        if end <= first:
            self._pending[name] = first, [*buffered, values.copy()]
            return
        rows = np.concatenate([*buffered, values]) if buffered else values
        array[first:end] = rows[: end - first]
        if end < stop:
            self._pending[name] = end, [rows[end - first :].copy()]

    def label(self, method: str, target: str) -> None:
        """Record method and target, so that xarray opens the scores of many targets or methods as one dataset.

        ``target`` is a dimension of length one, along which ``xarray.open_mfdataset`` joins stores by itself;
        ``method`` is a coordinate without a dimension.
        """
        self._write_texts("method", [], np.array(method))
        self._write_texts("target", ["target"], np.array([target]))
        self.labels.append("method")

    def finish(self) -> None:
        """Write the buffered rows, and list the labels in every array's attributes, as xarray does."""
        for name in list(self._pending):
            self._write_pending(name)
        for name, array in self.arrays.items() if self.labels else ():
            if cast(ArrayV3Metadata, array.metadata).dimension_names != (name,):  # an index has no coordinates
                array.attrs["coordinates"] = " ".join(self.labels)

    def _write_pending(self, name: str) -> None:
        first, buffered = self._pending.pop(name)
        rows = np.concatenate(buffered)
        self.arrays[name][first : first + len(rows)] = rows

    def write(
        self,
        name: str,
        dims: Sequence[str],
        values: ArrayLike,
        row_kind: str | None = None,
        items: Items | None = None,
        chunk_bytes: int | None = None,
    ) -> None:
        """Create and fill an array in one step; other arguments as in ``create`` and ``put``."""
        values = np.asarray(values)
        if values.dtype.kind in "UO":
            self._write_texts(name, dims, values)
            return
        self.create(name, dims, values.shape, values.dtype, chunk_bytes=chunk_bytes)
        self.put(
            name, slice(None), values, row_kind or f"{dims[0]} index", range(len(values)) if items is None else items
        )

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


def _link_or_copy(source: str, target: str) -> None:
    """Hard-link or copy a chunk; chunks are never changed in place, so stores may share them."""
    try:
        os.link(source, target)
    except OSError:  # another device, or a file system without links
        shutil.copyfile(source, target)


class Columns:
    """An array of a store under construction that grows along its last dimension; buffers about 4 MB.

    Args:
        store: the ``StoreWriter``. row_kind, items: as in ``StoreWriter.put``.
    """

    def __init__(
        self, store: StoreWriter, name: str, dims: Sequence[str], shape: Sequence[int], row_kind: str, items: Items
    ):
        self.store, self.name, self.row_kind, self.items = store, name, row_kind, items
        self.length = min(shape[-1], max(1, COLUMN_BYTES // (4 * int(np.prod(shape[:-1])))))
        store.create(name, dims, shape, chunks=(*shape[:-1], self.length))
        self.buffer = np.empty((*shape[:-1], self.length), np.float32)
        self.start, self.filled, self.total = 0, 0, shape[-1]

    def append(self, values: Values) -> None:
        """Append columns (..., b) and write full chunks."""
        done = 0
        while done < values.shape[-1]:
            count = min(self.length - self.filled, values.shape[-1] - done)
            self.buffer[..., self.filled : self.filled + count] = values[..., done : done + count]
            done, self.filled = done + count, self.filled + count
            if self.filled == self.length or self.start + self.filled == self.total:
                index = (..., slice(self.start, self.start + self.filled))
                self.store.put(self.name, index, self.buffer[..., : self.filled], self.row_kind, self.items)
                self.start, self.filled = self.start + self.filled, 0


@contextlib.contextmanager
def create_store(path: StrPath, attributes: Callable[[], Attributes]) -> Generator[StoreWriter]:
    """Create a store that appears at ``path`` if the block ends without an error; yields its ``StoreWriter``.

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
    """Move a finished store to ``path``, with new attributes (a function, called last)."""
    with atomic_directory(path) as tmp, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata")
        os.rmdir(tmp)
        shutil.move(source, tmp)  # just a rename, unless the scratch folder is on another disk
        open_group(tmp, "r+").attrs.put(dict(as_stored(attributes())))
        consolidate_metadata(tmp)
    _join_hierarchy(path)


def _join_hierarchy(path: StrPath) -> None:
    """Add a finished store to the groups of its experiment, if it belongs to one."""
    name = name_of(path)
    if name != str(path):
        mark_groups(str(path)[: -len(name)], name)


def link_store(source: StrPath, path: StrPath, attributes: Callable[[], Attributes]) -> None:
    """Create a store at ``path`` with the arrays of a finished one and other attributes (a function, called last).

    Chunks are hard-linked and take no extra space, or copied if the file system has no links.

    Raises:
        WaypointError: the source is incomplete.
    """
    group = open_store(source)
    with create_store(path, attributes) as store:
        for _, array in group.arrays():
            store.adopt(array)
