"""Many chunks read, verified and computed with at once, in the threads that BLAS would have had."""

import contextlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import crc32c
import numpy as np

from waypoint import kernels
from waypoint.store.zarr.reader import map_chunk, require_checksum

PIECE_VALUES = 1 << 19  # 2 MiB of float32: computed with while the core's cache still has it from its checksum


class Readers:
    """A context whose threads compute with chunks. BLAS has one thread in it: its own would only get in the way.

    Args:
        arrays: how many are read side by side; the more, the fewer chunks of each are computed ahead.
    """

    def __init__(self, arrays=1):
        self.threads = kernels.blas_threads()
        self._ahead = max(1, self.threads // arrays)

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(kernels.one_blas_thread())
            self._pool = ThreadPoolExecutor(self.threads)
            stack.callback(self._pool.shutdown, cancel_futures=True)
            self._exit = stack.pop_all().__exit__
        return self

    def __exit__(self, *error):
        self._exit(*error)

    def blocks(self, array, each):
        """Iterate (start, the values of ``each``) over an array in chunks of whole rows, in their order.

        Args:
            each: a function of the place of a row and of some rows from there on (b, ...), which returns an array
                (b, ...). It gets a chunk in pieces, the first of them before the last is verified; what it made of a
                damaged chunk is thrown away.

        Raises:
            WaypointError: a chunk whose checksum does not match.
        """
        waiting = deque()
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


def _values(array, start, each):
    """Of one chunk: its start, and the values of ``each`` at its rows."""
    path, data = map_chunk(array, start // array.chunks[0])
    rows = np.frombuffer(data, array.dtype, np.prod(array.chunks, dtype=int)).reshape(array.chunks)
    rows, step = rows[: array.shape[0] - start], max(1, PIECE_VALUES // max(1, int(np.prod(array.shape[1:]))))
    checksum, values, content = 0, [], memoryview(data)
    for at in range(0, len(rows), step):
        piece, begin = rows[at : at + step], at * rows.strides[0]
        checksum = crc32c.crc32c(content[begin : begin + piece.nbytes], checksum)
        values.append(each(start + at, piece))
    require_checksum(crc32c.crc32c(content[rows.nbytes :], checksum), path)  # rows after the last, the checksum itself
    return start, np.concatenate(values)
