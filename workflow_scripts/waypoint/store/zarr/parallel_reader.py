"""Reads, verifies and processes many chunks at once, in the threads that BLAS would use."""

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

PIECE_VALUES = 1 << 19  # 2 MiB of float32: small enough to stay in the core's cache from checksum to use


class Readers:
    """A context whose threads process chunks. BLAS is limited to one thread in it, so that the two do not compete.

    Args:
        arrays: number of arrays read side by side; the more, the fewer chunks of each are processed ahead.
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
        """Iterate in order over an array in chunks of whole rows: (start, results of ``each``).

        Args:
            each: a function of a row's index and some rows from there on (b, ...), which returns an array (b, ...).
                It gets a chunk in pieces, the first of them before the chunk is verified; its results for a damaged
                chunk are discarded.

        Raises:
            WaypointError: a chunk whose checksum does not match.
        """
        pending: deque[Future[tuple[int, Values]]] = deque()
        try:
            for start in range(0, array.shape[0], array.chunks[0]):
                pending.append(self._pool.submit(_values, array, start, each))
                if len(pending) > self._ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _values(array: AnyArray, start: int, each: Callable[[int, Values], Values]) -> tuple[int, Values]:
    """Return the start of one chunk, and the results of ``each`` for its rows."""
    path, data = map_chunk(array, start // array.chunks[0])
    rows = as_rows(array, data)[: array.shape[0] - start]
    step = max(1, PIECE_VALUES // max(1, int(np.prod(array.shape[1:]))))
    checksum, chunk_bytes = 0, memoryview(data)
    values: list[Values] = []
    for offset in range(0, len(rows), step):
        piece, first_byte = rows[offset : offset + step], offset * rows.strides[0]
        checksum = crc32c.crc32c(chunk_bytes[first_byte : first_byte + piece.nbytes], checksum)
        values.append(each(start + offset, piece))
    require_checksum(crc32c.crc32c(chunk_bytes[rows.nbytes :], checksum), path)  # padding, checksum
    return start, np.concatenate(values)
