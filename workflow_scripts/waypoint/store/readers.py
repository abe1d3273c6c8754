"""Many chunks read, verified and computed with at once, in the threads that BLAS would have had."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor

import crc32c
import numpy as np

from ..science import blas
from .arrays import map_chunk, require_checksum

PIECE_VALUES = 1 << 19  # 2 MiB of float32: computed with while the core's cache still has it from its checksum


class Readers:
    """A context whose threads compute with chunks. BLAS has one thread in it: its own would only get in the way."""

    def __init__(self):
        self.threads, self._passes = blas.threads(), 0

    def __enter__(self):
        self._limit = blas.one_thread()
        self._pool = ThreadPoolExecutor(self.threads)
        return self

    def __exit__(self, *_):
        self._pool.shutdown(cancel_futures=True)
        self._limit.restore_original_limits()

    def blocks(self, array, each):
        """Iterate (start, the values of ``each``) over an array in chunks of whole rows, in their order.

        Args:
            each: a function of the place of a row and of some rows from there on (b, ...), which returns b values. It
                gets a chunk in pieces, before all of the chunk is verified: its values are then thrown away.

        Raises:
            WaypointError: a chunk whose checksum does not match.
        """
        waiting = deque()
        self._passes += 1
        try:
            for start in range(0, array.shape[0], array.chunks[0]):
                waiting.append(self._pool.submit(_values, array, start, each))
                if (
                    len(waiting) * self._passes > self.threads and len(waiting) > 1
                ):  # enough for every thread, one ahead
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            self._passes -= 1
            for unwanted in waiting:
                unwanted.cancel()


def _values(array, start, each):
    """Of one chunk: its start, and the values of ``each`` at its rows."""
    path, data = map_chunk(array, start // array.chunks[0])
    rows = np.frombuffer(data, array.dtype, np.prod(array.chunks, dtype=int)).reshape(array.chunks)
    rows, step = rows[: array.shape[0] - start], max(1, PIECE_VALUES // max(1, int(np.prod(array.shape[1:]))))
    checksum, values, content = 0, [], memoryview(data)
    for at in range(0, len(rows), step):
        piece = rows[at : at + step]
        end = at * rows.strides[0] + piece.nbytes
        checksum = crc32c.crc32c(content[end - piece.nbytes : end], checksum)
        values.append(each(start + at, piece))
    require_checksum(crc32c.crc32c(content[rows.nbytes :], checksum), path)  # rows after the last, the checksum itself
    return start, np.concatenate(values)
