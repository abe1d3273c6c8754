"""Stores to read from: which of them gives an artifact, and links to it."""

import os

import pytest
import xarray as xr
from support import store

from waypoint.errors import WaypointError
from waypoint.workflow.config.shared_stores import folders, link, other_copy


def test_a_store_is_one_folder_or_several():
    assert folders("results") == ["results"] and folders(["a", "b"]) == ["a", "b"]


def made(place, identity, value):
    return store(place / "e/features/0.zarr", {"identity": identity}, phi=(["train"], [value]))


def test_the_first_store_that_has_something_of_the_same_identity_gives_it(tmp_path):
    for name, identity in (("first", "other"), ("second", "wanted"), ("third", "wanted")):
        made(tmp_path / name, identity, 1.0)
    others = [tmp_path / name / "e" for name in ("absent", "first", "second", "third")]
    found = other_copy("features/0.zarr", "wanted", others)
    assert found == tmp_path / "second/e/features/0.zarr"
    assert other_copy("features/0.zarr", "nobody's", others) is None
    assert other_copy("features/1.zarr", "wanted", others) is None
    link(tmp_path / "mine/e/features/0.zarr", found)
    link(tmp_path / "mine/e/features/0.zarr", found)  # again, and over a link that leads nowhere
    assert xr.open_zarr(tmp_path / "mine/e/features/0.zarr")["phi"].values == [1.0]
    assert os.listdir(tmp_path / "mine/e/features") == ["0.zarr"]


def test_what_is_half_written_or_damaged_is_left(tmp_path):
    theirs = tmp_path / "theirs/e"
    (theirs / "checkpoints/full/0").mkdir(parents=True)  # no marker: not finished
    (theirs / "features/0.zarr").mkdir(parents=True)
    (theirs / "features/0.zarr/zarr.json").write_text("{")
    for name in ("checkpoints/full/0", "features/0.zarr", "features/0.zarr.tmp-host-1-aaaaaaaa"):
        assert other_copy(name, "wanted", [theirs]) is None


def test_a_store_that_cannot_be_written_is_named(tmp_path):
    found = made(tmp_path / "theirs", "wanted", 1.0)
    (tmp_path / "mine").write_text("a file")
    with pytest.raises(WaypointError, match="store: .*mine.* cannot be written"):
        link(tmp_path / "mine/e/features/0.zarr", found)
