"""Missing parts of an artifact are named, without reading the rest."""

import json
import shutil

import numpy as np
import pytest

from waypoint.store.artifacts.atomic import atomic_directory, atomic_file
from waypoint.store.artifacts.checksums import write_marker
from waypoint.store.artifacts.completeness import missing_part
from waypoint.store.artifacts.provenance import DamagedArtifact, marker_path, read_attributes
from waypoint.store.zarr.writer import create_store


@pytest.fixture
def store(tmp_path):
    """A store of an array in three chunks, an empty one and text."""
    with create_store(tmp_path / "a.zarr", lambda: {"spec": {}}) as writer:
        writer.create("phi", ["train", "feature"], (5, 4), rows=2)[:] = 1
        writer.write("nothing", ["none"], np.zeros(0, np.int64))
        writer.write("name", ["train"], np.array(["a", "bc"]))
    return tmp_path / "a.zarr"


@pytest.fixture
def folder(tmp_path):
    with atomic_directory(tmp_path / "full/0.5") as tmp:  # a share of removed images is no suffix
        (tmp / "unet").mkdir()
        (tmp / "unet/weights").write_text("weights")
        (tmp / "loss.csv").write_text("epoch,loss\n")
        write_marker(tmp, {"spec": {}})
    return tmp_path / "full/0.5"


@pytest.fixture
def table(tmp_path):
    with atomic_file(tmp_path / "lds.csv", lambda: {"spec": {}}) as tmp:
        tmp.write_text("method,lds\n")
    return tmp_path / "lds.csv"


def missing(path):
    return missing_part(path, read_attributes(path))


@pytest.mark.parametrize("kind", ["store", "folder", "table"])
def test_nothing_is_missing_of_what_was_just_made(request, kind):
    assert missing(request.getfixturevalue(kind)) is None


@pytest.mark.parametrize("chunk", ["0", "1", "2"])
def test_a_missing_chunk_is_noticed(store, chunk):
    (store / "phi/c" / chunk / "0").unlink()
    assert missing(store) == "a chunk of phi"


def test_a_folder_of_chunks_that_is_gone_is_noticed(store):
    shutil.rmtree(store / "name/c")
    assert missing(store) == "a chunk of name"


def test_what_a_killed_write_left_is_no_chunk(store):
    place = store / "phi/c/1"
    (place / "0").rename(place / "0.7f3a.partial")
    assert missing(store) == "a chunk of phi"


def test_missing_metadata_of_an_array_are_noticed(store):
    (store / "phi/zarr.json").unlink()
    assert missing(store) == "phi/zarr.json"


def test_an_array_that_is_gone_is_noticed(store):
    shutil.rmtree(store / "nothing")
    assert missing(store) == "nothing/zarr.json"


def test_a_store_that_does_not_say_which_arrays_it_has_is_damaged(store):
    found = json.loads(marker_path(store).read_text())
    del found["consolidated_metadata"]
    marker_path(store).write_text(json.dumps(found))
    with pytest.raises(DamagedArtifact, match="holds no metadata of its arrays"):
        missing(store)


def test_a_missing_file_of_a_folder_is_named(folder):
    (folder / "unet/weights").unlink()
    assert missing(folder) == "unet/weights"


def test_files_that_nothing_reads_may_go(folder):
    (folder / "loss.csv").unlink()
    assert missing(folder) is None


def test_a_missing_file_beside_its_marker_is_named(table):
    made = read_attributes(table)
    table.unlink()
    assert missing_part(table, made) == "lds.csv"


def test_what_has_no_list_of_files_lacks_none(tmp_path):
    assert missing_part(tmp_path / "gone", {"spec": {}}) is None
