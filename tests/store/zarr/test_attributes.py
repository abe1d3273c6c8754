"""Attributes: netCDF takes them as they are stored, and readers here get them as they were given."""

import json
import re

import numpy as np
import pytest
import xarray as xr
import zarr

from waypoint.errors import WaypointError
from waypoint.store.artifacts.provenance import attributes_of, read_attributes
from waypoint.store.zarr.attributes import as_given, as_stored
from waypoint.store.zarr.reader import open_store
from waypoint.store.zarr.writer import adopt_store, create_store

ATTRIBUTES = {
    "stage": "score_trak",
    "spec": {"seed": 0, "train": {"version": 1, "training": {"epochs": 3, "ema": 0.9, "flip": False}}},
    "reads": {},
    "commit": None,
    "device": "cpu",
    "seconds": 1.25,
    "peak_memory_mb": 512,
    "weights": ["ab", "cd"],
    "mapped_by": [None, "x"],
    "losses": [1.0, 2.5],
    "images": [],
    "halves": True,
    "large": 2**40,
    "text": '{"looks": "like JSON"}',
}


def made(path):
    with create_store(path, lambda: ATTRIBUTES) as writer:
        writer.label(method="trak", target="a")
        writer.write("step", ["step"], np.array([100, 500]))
        writer.write("checkpoint", ["checkpoint"], np.array(["full/0", "full/1"]))
        writer.write("score", ["step", "train"], np.ones((2, 3), np.float32))
    return path


def test_what_is_stored_is_given_back():
    kept = as_stored(ATTRIBUTES)
    assert as_given(json.loads(json.dumps(kept))) == ATTRIBUTES
    assert all(isinstance(value, str | int | float | list) and not isinstance(value, bool) for value in kept.values())
    assert kept["losses"] == [1.0, 2.5] and kept["text"] == ATTRIBUTES["text"] and kept["commit"] == "null"
    assert as_stored({"stage": "x"}) == {"stage": "x"}


def test_attributes_of_earlier_stores_are_read_as_they_are():
    assert as_given(ATTRIBUTES) == ATTRIBUTES


def test_a_store_of_the_earlier_form_is_read(tmp_path):
    path = made(tmp_path / "a.zarr")
    file = path / "zarr.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "attributes": ATTRIBUTES}))
    assert read_attributes(path) == ATTRIBUTES == dict(open_store(path).attrs)


def test_whoever_reads_here_sees_what_was_given(tmp_path):
    path = made(tmp_path / "a.zarr")
    assert dict(open_store(path).attrs) == ATTRIBUTES and read_attributes(path) == ATTRIBUTES
    adopt_store(path, tmp_path / "b.zarr", lambda: {**ATTRIBUTES, "stage": "other"})
    assert dict(open_store(tmp_path / "b.zarr").attrs) == {**ATTRIBUTES, "stage": "other"}


def test_xarray_writes_a_store_as_netcdf(tmp_path):
    found = xr.open_zarr(made(tmp_path / "a.zarr"))
    found.load().to_netcdf(tmp_path / "a.nc", engine="scipy")
    with xr.open_dataset(tmp_path / "a.nc", engine="scipy") as again:
        assert json.loads(again.attrs["spec"]) == ATTRIBUTES["spec"] and again.attrs["stage"] == "score_trak"
        assert as_given({**again.attrs, "losses": list(again.attrs["losses"])}) == ATTRIBUTES
        assert np.array_equal(again["score"], found["score"])


def test_damaged_json_is_damage(tmp_path):
    path = made(tmp_path / "a.zarr")
    file = path / "zarr.json"
    file.write_text(re.sub(r'"commit": "null"', '"commit": "nul"', file.read_text()))
    with pytest.raises(WaypointError, match="zarr.json is damaged"):
        read_attributes(path)
    with pytest.raises(WaypointError, match="metadata is damaged"):
        open_store(path)
    with pytest.raises(WaypointError, match="is damaged"):
        attributes_of("x.zarr", {"attributes": {"spec": "{", "json_attributes": "spec"}})


def test_labels_are_coordinates_of_the_arrays_and_not_of_their_indices(tmp_path):
    path = made(tmp_path / "a.zarr")
    found = xr.open_zarr(path)
    assert found["score"].coords["method"].item() == "trak" and found["target"].values.tolist() == ["a"]
    assert set(found.data_vars) == {"score"}
    raw = zarr.open_group(path, mode="r")
    assert raw["score"].attrs["coordinates"] == "method" and not dict(raw["step"].attrs)
