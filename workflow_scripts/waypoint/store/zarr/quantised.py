"""Feature matrices on disk as float32, float16 or int8; the narrow types have a scale for each row.

A row is stored as value / scale, where scale is the row's largest magnitude (divided by 127 for int8), so that no row
is too small for its type. The features are ``phi`` times ``phi_scale``.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import zarr

from waypoint.store.types import Values, array_of
from waypoint.store.zarr.parallel_reader import Readers
from waypoint.store.zarr.reader import blocks as stored_blocks
from waypoint.store.zarr.reader import read
from waypoint.store.zarr.writer import Index, StoreWriter

LARGEST = {"float32": None, "float16": 1.0, "int8": 127.0}


def create(store: StoreWriter, name: str, dims: Sequence[str], shape: Sequence[int], dtype: str) -> None:
    """Create an array of features, and one of scales if ``dtype`` needs them; ``put`` fills both."""
    store.create(name, dims, shape, dtype)
    if LARGEST[dtype]:
        store.create(f"{name}_scale", dims[:-1], shape[:-1])


def put(
    store: StoreWriter, name: str, index: Index, values: Values, row_kind: str, items: Sequence[object] | Values
) -> None:
    """Write rows of features at ``index``; ``row_kind`` and ``items`` as in ``StoreWriter.put``."""
    largest = LARGEST[store.arrays[name].dtype.name]
    if largest:
        scale = np.abs(values).max(-1) / np.float32(largest)
        store.put(f"{name}_scale", index, scale, row_kind, items)  # refuses non-finite values before the division
        values = values / np.where(scale > 0, scale, 1)[..., None]
        values = np.rint(values).astype(np.int8) if largest > 1 else values.astype(np.float16)
    store.put(name, index, values, row_kind, items)


def blocks(
    group: zarr.Group,
    name: str = "phi",
    each: Callable[[Values], Values] | None = None,
    readers: Readers | None = None,
) -> Iterator[tuple[int, Values]]:
    """Iterate over stored features a chunk at a time: (start, rows float32), or (start, results of ``each``).

    Args:
        each: a function of rows (b, ...) that returns an array (b, ...). readers: ``Readers`` whose threads call it.

    Raises:
        WaypointError: a chunk whose checksum does not match.
    """
    scale = read(array_of(group, f"{name}_scale")) if f"{name}_scale" in group else None

    def values(start: int, rows: Values) -> Values:
        if scale is not None:
            rows = rows * scale[start : start + len(rows)][..., None]  # float32, like the scale
        return each(rows) if each else rows

    if readers:
        return readers.blocks(array_of(group, name), values)
    return ((start, values(start, rows)) for start, rows in stored_blocks(array_of(group, name)))
