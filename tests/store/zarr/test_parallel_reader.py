"""Chunks computed with in threads: the values of a loop over the rows, in order, and none of a damaged chunk."""

import collections
import threading
import time
from functools import partial

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from waypoint import kernels
from waypoint.errors import WaypointError
from waypoint.store.zarr import parallel_reader as readers_module
from waypoint.store.zarr.parallel_reader import Readers
from waypoint.store.zarr.reader import open_store
from waypoint.store.zarr.writer import create_store

N, D, CHUNK = 23, 3, 5  # the last chunk partly filled


@pytest.fixture
def stored(tmp_path):
    """Values, and the array of a store that has them."""
    values = np.random.default_rng(0).standard_normal((N, D)).astype(np.float32)
    with create_store(tmp_path / "x.zarr", dict) as store:
        store.create("x", ["train", "feature"], values.shape, rows=CHUNK)
        store.put("x", slice(None), values, "index", range(N))
    return values, open_store(tmp_path / "x.zarr")["x"]


def place_and_sum(start, rows):
    return np.stack([np.arange(start, start + len(rows)), rows.sum(1)], 1)


@pytest.mark.parametrize("piece", [1, 2, 3, 100], ids="{} rows at once".format)
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_values_are_those_of_a_loop(stored, monkeypatch, threads, piece):
    values, array = stored
    monkeypatch.setattr(readers_module, "PIECE_VALUES", piece * D)
    monkeypatch.setattr(kernels, "blas_threads", lambda: threads)
    with Readers() as readers:
        parts = list(readers.blocks(array, place_and_sum))
    assert [start for start, _ in parts] == [0, 5, 10, 15, 20]
    found = np.concatenate([part for _, part in parts])
    assert np.array_equal(found, [(i, row.sum()) for i, row in enumerate(values)])


def test_several_arrays_share_the_threads(stored):
    """As the checkpoints of a pass do: none waits for another's end."""
    values, array = stored
    with Readers(7) as readers:
        passes = [readers.blocks(array, lambda start, rows, m=m: m * rows) for m in range(7)]
        for together in zip(*passes, strict=True):
            assert {start for start, _ in together} == {together[0][0]}
            for m, (start, part) in enumerate(together):
                assert np.array_equal(part, m * values[start : start + CHUNK])


@pytest.mark.parametrize("threads", [1, 2])
def test_as_many_chunks_at_once_as_there_are_threads(stored, monkeypatch, threads):
    monkeypatch.setattr(kernels, "blas_threads", lambda: threads)
    met = threading.Barrier(threads)

    def each(start, rows):
        if start < CHUNK * threads:
            met.wait(60)  # all of the threads are here at the same time
        return rows

    with Readers() as readers:
        assert len(list(readers.blocks(stored[1], each))) == 5


@pytest.mark.parametrize("arrays, threads, most", [(1, 1, 2), (1, 2, 3), (2, 2, 2), (7, 2, 2), (2, 4, 3)])
def test_few_results_are_held_of_each_array(tmp_path, monkeypatch, arrays, threads, most):
    """Memory does not grow with the number of rows."""
    monkeypatch.setattr(kernels, "blas_threads", lambda: threads)
    with create_store(tmp_path / "x.zarr", dict) as store:
        store.create("x", ["train"], (40,), rows=1)
        store.put("x", slice(None), np.zeros(40), "index", range(40))
    array, made, held = open_store(tmp_path / "x.zarr")["x"], collections.Counter(), []

    def each(start, rows, m):
        made[m] += 1
        return rows

    with Readers(arrays) as readers:
        passes = [readers.blocks(array, partial(each, m=m)) for m in range(arrays)]
        for taken, _ in enumerate(zip(*passes, strict=True)):
            time.sleep(0.002)  # time for the threads to run ahead, if they would
            held.append(max(made.values()) - taken)
    assert max(held) <= most and made == dict.fromkeys(range(arrays), 40)


def test_no_chunk_stays_mapped_after_its_values_are_made(stored):
    with Readers() as readers:
        for _, part in readers.blocks(stored[1], lambda start, rows: rows):
            assert part.base is None


@pytest.mark.parametrize("at", [0, -5, -4, -1], ids=["first byte", "last value", "checksum", "last byte"])
def test_a_damaged_chunk_gives_no_value(stored, at):
    _, array = stored
    file = readers_module.map_chunk(array, 2)[0]
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)
    seen = []
    with Readers() as readers, pytest.raises(WaypointError, match=f"{file}: damaged"):
        for start, _ in readers.blocks(array, place_and_sum):
            seen.append(start)
    assert seen == [0, 5]


def test_filling_after_the_last_row_is_verified_and_not_given(stored):
    _, array = stored
    file = readers_module.map_chunk(array, 4)[0]
    content = bytearray(file.read_bytes())
    content[4 * D * (N % CHUNK)] ^= 1  # of the first row that does not count
    file.write_bytes(content)
    with Readers() as readers, pytest.raises(WaypointError, match="damaged"):
        list(readers.blocks(array, place_and_sum))


@pytest.mark.parametrize("change", ["shorter", "gone"])
def test_a_chunk_that_changed_after_opening(stored, change):
    _, array = stored
    file = readers_module.map_chunk(array, 1)[0]
    file.write_bytes(file.read_bytes()[:-1]) if change == "shorter" else file.unlink()
    with (
        Readers() as readers,
        pytest.raises(WaypointError, match={"shorter": "damaged", "gone": "cannot be read"}[change]),
    ):
        list(readers.blocks(array, place_and_sum))


def test_an_error_of_the_function_ends_the_pass(stored):
    def fails(start, rows):
        raise ZeroDivisionError(start)

    with pytest.raises(ZeroDivisionError, match="0"), Readers() as readers:
        list(readers.blocks(stored[1], fails))


def test_blas_has_one_thread_while_there_are_readers(stored):
    with threadpool_limits(2):
        with Readers() as readers:
            assert readers.threads == 2
            ((_, inside), *_) = readers.blocks(
                stored[1], lambda start, rows: np.full(len(rows), kernels.blas_threads())
            )
            assert (inside == 1).all()
        assert kernels.blas_threads() == 2
