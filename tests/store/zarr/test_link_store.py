"""A store under a second path: the same arrays on the same disk blocks, attributes of its own."""

import os
import shutil

import numpy as np
import pytest
import xarray

from waypoint.errors import WaypointError
from waypoint.store.zarr.attributes import as_given
from waypoint.store.zarr.reader import open_store, read
from waypoint.store.zarr.writer import create_store, link_store

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def source(tmp_path):
    with create_store(tmp_path / "a.zarr", lambda: {"spec": {"seed": 0}, "seconds": 9}) as store:
        store.create("x", ["row", "column"], VALUES.shape, rows=2)
        store.put("x", slice(None), VALUES, "row", range(3))
    (tmp_path / "a.zarr/.snakemake_timestamp").touch()
    return tmp_path / "a.zarr"


@pytest.mark.parametrize("links", [True, False])
def test_a_linked_store_is_whole_and_has_attributes_of_its_own(source, tmp_path, monkeypatch, links):
    def refused(*_):
        raise OSError("no hard links here")

    if not links:
        monkeypatch.setattr(os, "link", refused)
    link_store(source, tmp_path / "new/b.zarr", lambda: {"spec": {"seed": 1}})
    for path, attributes in (
        (source, {"spec": {"seed": 0}, "seconds": 9}),
        (tmp_path / "new/b.zarr", {"spec": {"seed": 1}}),
    ):
        store = open_store(path)
        assert np.array_equal(read(store["x"]), VALUES) and dict(store.attrs) == attributes
        assert as_given(xarray.open_zarr(path).attrs) == attributes
    chunks = [path / "x/c/0/0" for path in (source, tmp_path / "new/b.zarr")]
    assert (chunks[0].stat().st_ino == chunks[1].stat().st_ino) == links


def test_snakemakes_time_stamp_is_not_shared(source, tmp_path):
    link_store(source, tmp_path / "b.zarr", dict)
    assert not (tmp_path / "b.zarr/.snakemake_timestamp").exists() and (source / ".snakemake_timestamp").exists()


def test_either_may_be_deleted(source, tmp_path):
    link_store(source, tmp_path / "b.zarr", dict)
    shutil.rmtree(source)
    assert np.array_equal(read(open_store(tmp_path / "b.zarr")["x"]), VALUES)


def test_a_damaged_chunk_is_not_passed_on(source, tmp_path):
    chunk = source / "x/c/1/0"
    raw = bytearray(chunk.read_bytes())
    raw[3] ^= 1
    chunk.write_bytes(raw)
    with pytest.raises(WaypointError, match=f"{chunk}: damaged"):
        link_store(source, tmp_path / "b.zarr", dict)
    assert not (tmp_path / "b.zarr").exists()


def test_an_arrays_own_metadata_is_not_read(source, tmp_path):
    """The store's consolidated copy counts, for whoever opens the source and for who takes an array of it."""
    (source / "x/zarr.json").write_text("{")
    link_store(source, tmp_path / "b.zarr", dict)
    assert np.array_equal(read(open_store(tmp_path / "b.zarr")["x"]), VALUES)
