"""Stores are whole or absent, finite and checksummed, and open in xarray and pandas without a word."""

import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray
import zarr

from waypoint.errors import WaypointError
from waypoint.store.artifacts.atomic import atomic_directory, atomic_file
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.zarr import reader
from waypoint.store.zarr import writer as writer_module
from waypoint.store.zarr.attributes import as_given
from waypoint.store.zarr.reader import Rows, _chunk, blocks, open_store, read
from waypoint.store.zarr.writer import Columns, adopt_store, create_store

SCORES = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4)
NAMES = ["full/0", "full/ä"]
ARRAYS = ["score", "step", "checkpoint"]  # float, integer, string


def fill(store):
    store.write("checkpoint", ["checkpoint"], np.array(NAMES))
    store.write("step", ["step"], np.array([100, 300, 500]))
    store.write("train", ["train"], np.arange(4))
    store.write("score", ["checkpoint", "step", "train"], SCORES)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scores" / "trak" / "a.zarr"


@pytest.fixture
def finished(path):
    with create_store(path, lambda: {"spec": {"seed": 0}}) as store:
        fill(store)
    return path


def chunks(path, name):
    return sorted(file for file in Path(path, name, "c").rglob("*") if file.is_file())


# ---- whole or absent


def test_a_finished_store_holds_what_was_written(finished):
    store = open_store(finished)
    assert np.array_equal(read(store["score"]), SCORES) and read(store["checkpoint"]).tolist() == NAMES
    assert store.attrs["spec"] == {"seed": 0}
    assert os.listdir(finished.parent) == [finished.name]


@pytest.mark.parametrize("chunk_bytes, rows", [(None, 10), (300, 3), (299, 2), (1, 1)])
def test_chunks_hold_as_many_rows_as_fit(path, chunk_bytes, rows):
    values = np.arange(250, dtype=np.float32).reshape(10, 5, 5)
    with create_store(path, dict) as writer:
        writer.write("x", ["step", "y", "x"], values, chunk_bytes=chunk_bytes)
    array = open_store(path)["x"]
    assert array.chunks == (rows, 5, 5) and np.array_equal(read(array), values)


def test_attributes_are_collected_after_the_data(path):
    made = []
    with create_store(path, lambda: {"made": made}) as store:
        fill(store)
        made.append("last")
    assert open_store(path).attrs["made"] == ["last"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_in_the_block_leaves_nothing(path, error):
    with pytest.raises(error), create_store(path, dict) as store:
        fill(store)
        raise error
    assert os.listdir(path.parent) == []


def test_an_error_in_the_attributes_leaves_nothing(path):
    with pytest.raises(ZeroDivisionError), create_store(path, lambda: 1 / 0) as store:
        fill(store)
    assert os.listdir(path.parent) == []


def test_an_array_that_was_not_filled_leaves_nothing(path):
    with pytest.raises(WaypointError, match="phi"), create_store(path, dict) as store:
        store.create("phi", ["train", "feature"], (4, 2), rows=2)
        store.put("phi", slice(0, 2), np.ones((2, 2)), "train index", [0, 1])
    assert os.listdir(path.parent) == []


def test_an_error_keeps_the_store_that_was_there(finished):
    with pytest.raises(ValueError), create_store(finished, dict):
        raise ValueError
    assert np.array_equal(read(open_store(finished)["score"]), SCORES)
    assert os.listdir(finished.parent) == [finished.name]


def test_a_new_store_replaces_the_old_one_whole(finished):
    with create_store(finished, dict) as store:
        store.write("step", ["step"], np.array([7]))
    assert [name for name, _ in open_store(finished).arrays()] == ["step"]


def test_nothing_is_at_the_path_while_the_block_runs(path):
    with create_store(path, dict) as store:
        fill(store)
        assert not path.exists()
    assert path.is_dir()


WRITER = """
import sys, time
import numpy as np
from waypoint.store.zarr.writer import create_store

with create_store(sys.argv[1], dict) as store:
    store.write("step", ["step"], np.arange(5))
    print("half", flush=True)
    time.sleep(60)
"""


def test_a_killed_writer_leaves_no_store_and_hinders_nobody(path):
    environment = {**os.environ, "PYTHONPATH": str(Path(writer_module.__file__).parents[3])}
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout.readline() == "half\n"
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    assert not path.exists() and len(os.listdir(path.parent)) == 1
    with pytest.raises(WaypointError, match="no such store"):
        open_store(path)
    with create_store(path, dict) as store:
        fill(store)
    assert np.array_equal(read(open_store(path)["score"]), SCORES)
    assert os.listdir(path.parent) == [path.name]


@pytest.fixture
def dead():
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_only_leftovers_of_dead_processes_of_this_host_go(path, dead):
    host = socket.gethostname()
    gone = f"{path.name}.tmp-{host}-{dead}-0123abcd"
    stay = [
        f"{path.name}.tmp-{host}-{os.getpid()}-0123abcd",
        f"{path.name}.tmp-{host}-{os.getppid()}-0123abcd",
        f"{path.name}.tmp-other{host}-{dead}-0123abcd",
        f"b.zarr.tmp-{host}-{dead}-0123abcd",
    ]
    for name in (gone, *stay):
        (path.parent / name / "inner").mkdir(parents=True)
    with create_store(path, dict) as store:
        fill(store)
    assert sorted(os.listdir(path.parent)) == sorted([path.name, *stay])


def test_atomic_directory_gives_every_writer_its_own_place(tmp_path):
    with atomic_directory(tmp_path / "model") as first, atomic_directory(tmp_path / "model") as second:
        assert first != second and first.is_dir() and second.is_dir()
        (first / "a").touch(), (second / "b").touch()
    assert os.listdir(tmp_path) == ["model"] and os.listdir(tmp_path / "model") == ["a"]


def test_a_directory_may_be_built_on_a_nodes_own_disk(tmp_path, monkeypatch, dead):
    scratch = tmp_path / "scratch"
    (scratch / f"model.tmp-{socket.gethostname()}-{dead}-0123abcd").mkdir(parents=True)  # of a job that was killed
    monkeypatch.setenv("WAYPOINT_SCRATCH", str(scratch))
    with atomic_directory(tmp_path / "store/model") as built:
        assert built.parent == scratch and os.listdir(scratch) == [built.name]
        (built / "a").write_text("whole")
        assert os.listdir(tmp_path / "store") == []
    assert (tmp_path / "store/model/a").read_text() == "whole" and os.listdir(scratch) == []
    with pytest.raises(ZeroDivisionError), atomic_directory(tmp_path / "store/other"):
        raise ZeroDivisionError
    assert os.listdir(tmp_path / "store") == ["model"] and os.listdir(scratch) == []


def test_a_store_may_be_taken_to_another_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("WAYPOINT_SCRATCH", str(tmp_path / "scratch"))
    with create_store(tmp_path / "waiting.zarr", dict) as store:
        store.write("a", ["row"], np.arange(3.0))
    adopt_store(tmp_path / "waiting.zarr", tmp_path / "store/a.zarr", lambda: {"spec": {}})
    assert read(open_store(tmp_path / "store/a.zarr")["a"]).tolist() == [0, 1, 2]
    assert sorted(os.listdir(tmp_path)) == ["scratch", "store"] and os.listdir(tmp_path / "scratch") == []


def test_a_file_appears_whole_with_its_attributes(tmp_path):
    table = tmp_path / "lds.csv"
    with atomic_file(table, lambda: {"spec": {"seed": 0}}) as tmp:
        tmp.write_text("method,lds")
        assert tmp.suffix == ".csv" and not table.exists() and read_attributes(table) is None
    assert table.read_text() == "method,lds" and read_attributes(table)["spec"] == {"seed": 0}
    assert sorted(os.listdir(tmp_path)) == [".lds.csv.json", "lds.csv"]


@pytest.mark.parametrize("attributes", [dict, lambda: 1 / 0])
def test_an_error_keeps_the_file_that_was_there(tmp_path, attributes):
    with atomic_file(tmp_path / "lds.csv", lambda: {"spec": {}}) as tmp:
        tmp.write_text("first")
    with pytest.raises(ZeroDivisionError), atomic_file(tmp_path / "lds.csv", attributes) as tmp:
        tmp.write_text("second")
        if attributes is dict:
            raise ZeroDivisionError
    assert (tmp_path / "lds.csv").read_text() == "first" and read_attributes(tmp_path / "lds.csv")["spec"] == {}
    assert sorted(os.listdir(tmp_path)) == [".lds.csv.json", "lds.csv"]


def test_a_leftover_file_of_a_dead_process_goes(tmp_path, dead):
    stem = f"lds.csv.tmp-{socket.gethostname()}-{dead}-0123abcd.csv"
    for name in (stem, stem + ".json", stem.replace("lds", "fid")):
        (tmp_path / name).touch()
    with atomic_file(tmp_path / "lds.csv", dict) as tmp:
        tmp.touch()
    assert sorted(os.listdir(tmp_path)) == [".lds.csv.json", stem.replace("lds", "fid"), "lds.csv"]


# ---- finite


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_rows_are_refused_by_name(path, value):
    rows = np.zeros((3, 2), np.float32)
    rows[1, 1] = value
    with pytest.raises(WaypointError, match=r"^phi: not finite at checkpoint full/0, image 41;"):
        with create_store(path, dict) as store:
            store.create("phi", ["train", "feature"], (3, 2))
            store.put("phi", slice(0, 3), rows, "checkpoint full/0, image", [40, 41, 42])
    assert os.listdir(path.parent) == []


def test_non_finite_arrays_are_refused_by_name(path):
    with pytest.raises(WaypointError, match=r"^x_t: not finite at step 300;"), create_store(path, dict) as store:
        store.write("x_t", ["step"], np.array([0.0, np.inf]), "step", [100, 300])
    with pytest.raises(WaypointError, match=r"^x_t: not finite at step index 1;"), create_store(path, dict) as store:
        store.write("x_t", ["step"], np.array([0.0, np.inf]))
    assert os.listdir(path.parent) == []


# ---- nothing missing, nothing flipped


def test_an_absent_store_is_named(path):
    with pytest.raises(WaypointError, match=f"{path}: no such store"):
        open_store(path)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_missing_chunk_is_refused(finished, name):
    chunks(finished, name)[0].unlink()
    with pytest.raises(WaypointError, match=f"{finished}: .*{name}.* missing; delete it and rerun"):
        open_store(finished)


@pytest.mark.parametrize("values", [np.zeros((6, 2), np.float32), np.zeros((6, 2), np.int64)])
def test_a_missing_chunk_of_zeros_is_refused_too(path, values):
    with create_store(path, dict) as store:
        store.create("x", ["train", "feature"], values.shape, values.dtype, rows=2)
        store.put("x", slice(None), values, "index", range(6))
    assert len(chunks(path, "x")) == 3
    chunks(path, "x")[1].unlink()
    with pytest.raises(WaypointError, match="1 of 3 chunks of 'x' are missing"):
        open_store(path)


def test_a_missing_array_is_refused(finished):
    (finished / "score").rename(finished.parent / "elsewhere")
    with pytest.raises(WaypointError, match="score"):
        open_store(finished)


def test_an_array_with_damaged_metadata_is_refused(finished):
    """One flipped bit in the name of a field."""
    file = finished / "zarr.json"
    whole = file.read_text()
    file.write_text(whole.replace('"storage_transformers"', '"storage\\u007ftransformers"'))
    assert file.read_text() != whole
    with pytest.raises(WaypointError, match=f"{finished}: its metadata is damaged"):
        open_store(finished)


def test_damaged_metadata_is_refused(finished):
    metadata = finished / "zarr.json"
    metadata.write_bytes(metadata.read_bytes()[:-20])
    with pytest.raises(WaypointError, match=str(finished)):
        open_store(finished)


@pytest.mark.parametrize("name", ARRAYS)
def test_every_flipped_byte_is_an_error(finished, name):
    (file,) = chunks(finished, name)
    good = file.read_bytes()
    for at in range(len(good)):
        file.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(WaypointError, match=rf"{finished}/{name}[/c\d]*: damaged"):
            read(open_store(finished)[name])


@pytest.mark.parametrize("name", ARRAYS)
def test_every_truncated_chunk_is_an_error(finished, name):
    (file,) = chunks(finished, name)
    good = file.read_bytes()
    for length in range(len(good)):
        file.write_bytes(good[:length])
        with pytest.raises(WaypointError, match=rf"{finished}/{name}[/c\d]*: damaged"):
            read(open_store(finished)[name])


def test_blocks_notice_a_flipped_byte(path):
    with create_store(path, dict) as store:
        store.create("x", ["train", "feature"], (6, 2), rows=2)
        store.put("x", slice(None), np.ones((6, 2)), "index", range(6))
    file = chunks(path, "x")[2]
    file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    seen = []
    with pytest.raises(WaypointError, match=str(path)):
        for start, _ in blocks(open_store(path)["x"]):
            seen.append(start)
    assert seen == [0, 2]


def test_blocks_notice_a_chunk_that_vanishes_or_shrinks_after_opening(path):
    with create_store(path, dict) as store:
        store.create("x", ["train", "feature"], (6, 2), rows=2)
        store.put("x", slice(None), np.ones((6, 2)), "index", range(6))
    x = open_store(path)["x"]
    files = chunks(path, "x")
    files[1].write_bytes(files[1].read_bytes()[:-1])
    with pytest.raises(WaypointError, match="damaged"):
        list(blocks(x))
    files[1].unlink()
    with pytest.raises(WaypointError, match="cannot be read"):
        list(blocks(x))


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int8", "int64"])
def test_blocks_are_what_zarr_reads(path, dtype):
    values = np.random.default_rng(0).integers(-9, 9, (7, 2, 3)).astype(dtype)
    with create_store(path, dict) as store:
        store.create("x", ["train", "half", "feature"], values.shape, dtype, rows=3)
        store.put("x", slice(None), values, "index", range(7))
    x = open_store(path)["x"]
    found = np.concatenate([rows for _, rows in blocks(x)])
    assert found.dtype == x.dtype and np.array_equal(found, x[:])


@pytest.fixture
def tall(path):
    """A store of 23 rows in chunks of 5, the last one partly filled."""
    values = np.random.default_rng(0).standard_normal((23, 3, 4)).astype(np.float32)
    with create_store(path, dict) as store:
        store.create("tall", ["train", "token", "width"], values.shape, rows=5)
        store.put("tall", slice(None), values, "row", range(23))
    return path, values


ORDER = [22, 0, 7, 7, 19, 4, 5]


@pytest.mark.parametrize("wanted", [ORDER, [], [3]])
def test_rows_are_those_of_plain_indexing(tall, wanted):
    path, values = tall
    rows = Rows(open_store(path)["tall"])
    assert len(rows) == 23
    found = rows[torch.tensor(wanted, dtype=torch.int64)]
    assert np.array_equal(found, values[wanted]) and found.dtype == np.float32 and found.flags.writeable


def test_rows_of_some_rows_are_renumbered(tall):
    path, values = tall
    kept = np.array([20, 3, 11, 4])
    rows = Rows(open_store(path)["tall"], kept)
    assert len(rows) == 4 and np.array_equal(rows[np.array([3, 0, 2])], values[kept[[3, 0, 2]]])
    with pytest.raises(IndexError):
        rows[np.array([4])]


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float64])
def test_rows_of_every_type(path, dtype):
    values = np.arange(22).reshape(11, 2).astype(dtype)
    with create_store(path, dict) as store:
        store.create("x", ["train", "y"], values.shape, dtype, rows=4)
        store.put("x", slice(None), values, "row", range(11))
    found = Rows(open_store(path)["x"])[np.array([10, 2])]
    assert np.array_equal(found, values[[10, 2]]) and found.dtype == dtype


def test_rows_notice_a_damaged_chunk_when_they_want_it(tall):
    path, values = tall
    file = chunks(path, "tall")[1]
    data = bytearray(file.read_bytes())
    data[17] ^= 1
    file.write_bytes(data)
    rows = Rows(open_store(path)["tall"])
    assert np.array_equal(rows[np.array([0, 4, 10])], values[[0, 4, 10]])
    for _ in range(2):
        with pytest.raises(WaypointError, match=f"{file}: damaged"):
            rows[np.array([0, 9])]


def test_rows_notice_a_chunk_that_shrinks_or_vanishes_after_it_was_verified(tall):
    path, _ = tall
    rows, file = Rows(open_store(path)["tall"]), chunks(path, "tall")[0]
    assert rows[np.array([4])].shape == (1, 3, 4)
    os.truncate(file, 4 * 48 + 10)
    with pytest.raises(WaypointError, match=f"{file}: damaged"):
        rows[np.array([4])]
    file.unlink()
    with pytest.raises(WaypointError, match=f"{file}: cannot be read"):
        rows[np.array([4])]


def test_rows_verify_a_chunk_once_and_keep_no_file_open(tall, monkeypatch):
    path, _ = tall
    verified, verify = [], _chunk
    monkeypatch.setattr(reader, "_chunk", lambda array, index: verified.append(index) or verify(array, index))
    rows, opened = Rows(open_store(path)["tall"]), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        rows[np.arange(12)]
    assert verified == [0, 1, 2] and len(os.listdir("/proc/self/fd")) == opened


@pytest.mark.parametrize("pieces", [[10], [1] * 10, [3, 4, 3], [7, 3]])
@pytest.mark.parametrize("chunk", [1, 4, 10, 100])
def test_columns_arrive_whole_however_they_are_cut(path, monkeypatch, pieces, chunk):
    values = np.random.default_rng(0).standard_normal((2, 3, 10)).astype(np.float32)
    monkeypatch.setattr(writer_module, "COLUMN_BYTES", 4 * 6 * chunk)
    with create_store(path, dict) as store:
        columns = Columns(store, "x", ["checkpoint", "step", "train"], values.shape, "checkpoint", range(2))
        start = 0
        for piece in pieces:
            columns.append(values[..., start : start + piece].astype(np.float64))
            start += piece
            assert columns.buffer.shape[-1] == min(chunk, 10) and columns.filled < columns.buffer.shape[-1]
    x = open_store(path)["x"]
    assert x.chunks == (2, 3, min(chunk, 10)) and np.array_equal(x[:], values)


class Recorder:
    """An array that counts how often each of its rows is written."""

    def __init__(self, array):
        self.array, self.shape, self.chunks = array, array.shape, array.chunks
        self.dtype, self.written = array.dtype, np.zeros(array.shape[0], int)

    def __setitem__(self, where, values):
        self.array[where] = values
        self.written[where] += 1
        assert where.stop % self.chunks[0] == 0 or where.stop == self.shape[0], "part of a chunk"


@pytest.mark.parametrize("pieces", [[10], [1] * 10, [3, 4, 3], [7, 3], [2, 6, 2]])
@pytest.mark.parametrize("rows", [1, 3, 4, 10])
def test_rows_that_come_in_pieces_are_written_a_chunk_at_a_time(path, rows, pieces):
    values = np.random.default_rng(0).standard_normal((10, 2)).astype(np.float32)
    with create_store(path, dict) as store:
        found = store.arrays["x"] = Recorder(store.create("x", ["train", "feature"], values.shape, rows=rows))
        start = 0
        for piece in pieces:
            given = values[start : start + piece].copy()
            store.put("x", slice(start, start + piece), given, "index", range(10))
            given[:] = 0  # the caller's own again
            start += piece
    assert (found.written == 1).all() and np.array_equal(open_store(path)["x"][:], values)


@pytest.mark.parametrize("order", [[2, 0, 1, 3, 4], [4, 3, 2, 1, 0], [0, 1, 4, 2, 3]])
def test_rows_may_come_in_any_order(path, order):
    values = np.arange(20, dtype=np.float32).reshape(10, 2)
    with create_store(path, dict) as store:
        store.create("x", ["train", "feature"], values.shape, rows=3)
        for place in order:
            where = slice(2 * place, 2 * place + 2)
            store.put("x", where, values[where], "index", range(10))
    assert np.array_equal(open_store(path)["x"][:], values)


def test_a_row_that_never_came_is_missed(path):
    with pytest.raises(WaypointError, match="missing"), create_store(path, dict) as store:
        store.create("x", ["train", "feature"], (10, 2), rows=3)
        store.put("x", slice(0, 5), np.ones((5, 2)), "index", range(10))


def test_an_adopted_store_moves_whole_and_has_new_attributes(finished, tmp_path):
    adopt_store(finished, tmp_path / "new/b.zarr", lambda: {"spec": {"seed": 1}})
    store = open_store(tmp_path / "new/b.zarr")
    assert not finished.exists() and dict(store.attrs) == {"spec": {"seed": 1}}
    assert np.array_equal(read(store["score"]), SCORES)
    assert read_attributes(tmp_path / "new/b.zarr") == {"spec": {"seed": 1}}
    assert as_given(xarray.open_zarr(tmp_path / "new/b.zarr").attrs) == {"spec": {"seed": 1}}


# ---- the format


def test_blocks_give_every_row_once_in_order(path):
    values = np.arange(14, dtype=np.float32).reshape(7, 2)
    with create_store(path, dict) as store:
        store.create("x", ["train", "feature"], values.shape, rows=3)
        store.put("x", slice(None), values, "index", range(7))
    parts = list(blocks(open_store(path)["x"]))
    assert [start for start, _ in parts] == [0, 3, 6]
    assert np.array_equal(np.concatenate([rows for _, rows in parts]), values)


def test_chunks_are_whole_rows_of_about_sixteen_megabytes(path):
    with create_store(path, dict) as store:
        wide = store.create("wide", ["train", "feature"], (5000, 4096))
        small = store.create("small", ["train", "feature"], (3, 2))
        huge = store.create("huge", ["train", "feature"], (2, 5 << 20))
        assert wide.chunks == (1024, 4096) and small.chunks == (3, 2) and huge.chunks == (1, 5 << 20)
        for array in (wide, small, huge):
            array[:] = 0


def test_the_format_is_zarr_3_consolidated_with_checksums_and_nan_fill(finished):
    group = json.loads((finished / "zarr.json").read_text())
    assert group["zarr_format"] == 3
    assert set(group["consolidated_metadata"]["metadata"]) == {"checkpoint", "step", "train", "score"}
    score = json.loads((finished / "score" / "zarr.json").read_text())
    assert score["fill_value"] == "NaN" and score["dimension_names"] == ["checkpoint", "step", "train"]
    assert score["data_type"] == "float32"
    assert [codec["name"] for codec in score["codecs"]] == ["bytes", "crc32c"]


def test_other_libraries_open_it_without_a_warning(finished):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        group = zarr.open_group(finished, mode="r")
        assert group["checkpoint"][:].tolist() == NAMES
        with xarray.open_zarr(finished) as data:
            frame = data.load().to_dataframe()
    assert frame.index.names == ["checkpoint", "step", "train"] and len(frame) == 24
    assert frame.loc[("full/ä", 300, 2), "score"] == SCORES[1, 1, 2]
    assert data["score"].sel(checkpoint="full/0", step=500).values.tolist() == SCORES[0, 2].tolist()


def test_writing_and_opening_warn_of_nothing(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with create_store(path, dict) as store:
            fill(store)
        assert read(open_store(path)["checkpoint"]).tolist() == NAMES


@pytest.mark.parametrize("values", [[0], [0, 0, 0], [""], [False, False]])
def test_what_equals_the_fill_value_is_stored_too(path, values):
    with create_store(path, dict) as store:  # one attributed step, 0; a data set of one class
        store.write("x", ["train"], np.array(values))
    assert read(open_store(path)["x"]).tolist() == values


def test_strings_of_any_kind_come_back(path):
    texts = ["", "a, b", "ä – ∇θ", "x" * 3000]
    with create_store(path, dict) as store:
        store.write("caption", ["train"], np.array(texts))
        store.write("object", ["train"], np.array(texts, dtype=object))
    store = open_store(path)
    assert read(store["caption"]).tolist() == texts and read(store["object"]).tolist() == texts
