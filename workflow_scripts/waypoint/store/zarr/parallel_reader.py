"""Reads, verifies and computes with many chunks at once, in the threads that BLAS would use."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, cast

import crc32c
import numpy as np
from zarr.types import AnyArray

from waypoint import kernels
from waypoint.store.types import Values
from waypoint.store.zarr.reader import as_rows, map_chunk, require_checksum

PIECE_VALUES = 1 << 19  # 2 MiB of float32: still in the core's cache when it is computed with, after its checksum


class Readers:
    """A context whose threads compute with chunks. BLAS has one thread in it: its own would only get in the way.

    Args:
        arrays: how many are read side by side; the more, the fewer chunks of each are computed ahead.
    """

    def __init__(self, arrays: int = 1):
        self.threads = cast(int, kernels.blas_threads())
        self._ahead = max(1, self.threads // arrays)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(kernels.one_blas_thread())
            self._pool = ThreadPoolExecutor(self.threads)
            stack.callback(self._pool.shutdown, cancel_futures=True)
            self._exit = stack.pop_all().__exit__
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exit(kind, error, traceback)

    def blocks(self, array: AnyArray, each: Callable[[int, Values], Values]) -> Iterator[tuple[int, Values]]:
        """Iterate over an array in chunks of whole rows, in their order: (start, the values of ``each``).

        Args:
            each: a function of the place of a row and of some rows from there on (b, ...), which returns an array
                (b, ...). It gets a chunk in pieces, the first of them before the last is verified; its results for a
                damaged chunk are thrown away.

        Raises:
            WaypointError: a chunk whose checksum does not match.
        """
        waiting: deque[Future[tuple[int, Values]]] = deque()
        try:
            for start in range(0, array.shape[0], array.chunks[0]):
                waiting.append(self._pool.submit(_values, array, start, each))
                if len(waiting) > self._ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for unwanted in waiting:
                unwanted.cancel()


def _values(array: AnyArray, start: int, each: Callable[[int, Values], Values]) -> tuple[int, Values]:
    """The start of one chunk, and the values of ``each`` at its rows."""
    path, data = map_chunk(array, start // array.chunks[0])
    rows = as_rows(array, data)[: array.shape[0] - start]
    step = max(1, PIECE_VALUES // max(1, int(np.prod(array.shape[1:]))))
    checksum, content = 0, memoryview(data)
    values: list[Values] = []
    for at in range(0, len(rows), step):
        piece, begin = rows[at : at + step], at * rows.strides[0]
        checksum = crc32c.crc32c(content[begin : begin + piece.nbytes], checksum)
        values.append(each(start + at, piece))
    require_checksum(crc32c.crc32c(content[rows.nbytes :], checksum), path)  # rows after the last, the checksum itself
    return start, np.concatenate(values)
