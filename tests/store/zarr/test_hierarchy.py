"""An experiment's folders are groups of one Zarr hierarchy."""

import json
import warnings

import numpy as np
import pytest
import xarray as xr
import zarr

from waypoint.store.artifacts.replaced import ROOT
from waypoint.store.zarr import hierarchy
from waypoint.store.zarr.hierarchy import mark_groups
from waypoint.store.zarr.writer import create_store

SCORES = ["scores/trak/a.zarr", "scores/trak/b.zarr"]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An experiment's folder, as jobs know it; models lie in it too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(ROOT, "store/e")
    (tmp_path / "store/e/checkpoints/full/0").mkdir(parents=True)
    return tmp_path / "store/e"


def made(name, method="trak"):
    target = name.rpartition("/")[2].removesuffix(".zarr")
    with create_store(f"store/e/{name}", dict) as writer:
        writer.label(method, target)
        writer.write("step", ["step"], np.array([100, 500]))
        writer.write("score", ["step", "train"], np.full((2, 3), ord(target[0]), np.float32))


def groups(root):
    return {str(file.parent.relative_to(root)) for file in root.rglob("zarr.json") if ".zarr" not in str(file.parent)}


def test_zarr_and_xarray_open_the_experiment(root):
    for name in (*SCORES, "data/train.zarr"):
        made(name)
    assert groups(root) == {".", "scores", "scores/trak", "data"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Object at checkpoints")  # folders of models are no part of it
        warnings.filterwarnings("ignore", "Failed to open Zarr store with consolidated")
        found = zarr.open_group(root, mode="r")
        assert set(found.group_keys()) == {"scores", "data"} and found["scores/trak/a.zarr/score"].shape == (2, 3)
        tree = xr.open_datatree(root, engine="zarr")
    assert tree["scores/trak/b.zarr"]["score"].values[0, 0] == ord("b")


def test_a_store_of_before_joins_with_the_first_new_result(root):
    for name in SCORES:
        made(name)
    for file in [root / "zarr.json", *root.glob("scores/**/zarr.json")]:
        if ".zarr" not in str(file.parent):
            file.unlink()
    assert groups(root) == set()
    made("data/train.zarr")
    assert groups(root) == {".", "scores", "scores/trak", "data"}


@pytest.mark.parametrize("name", ["resume/scores/trak/a.zarr", "shards/x/0.zarr", "replaced/1/scores/trak/a.zarr"])
def test_what_is_no_result_is_no_part_of_it(root, name):
    made(name)
    assert groups(root) == set()


def test_stores_elsewhere_make_no_groups(root, tmp_path):
    with create_store(tmp_path / "other/a.zarr", dict) as writer:
        writer.write("x", ["x"], np.ones(2))
    assert not (tmp_path / "other/zarr.json").exists()


def test_a_folder_of_somebody_else_stays_as_it_is(root, monkeypatch):
    def closed(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(hierarchy.os, "replace", closed)
    mark_groups(root, "data/train.zarr")
    assert groups(root) == set()


def test_a_group_says_nothing_of_its_own(root):
    made(SCORES[0])
    assert json.loads((root / "zarr.json").read_text()) == {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {},
    }


ALL = {"data_vars": "all"}


@pytest.mark.parametrize(("arguments", "new_defaults"), [({}, False), (ALL, False), (ALL, True)])
def test_scores_of_all_targets_are_one_dataset(root, arguments, new_defaults):
    """Without a word today, and when xarray is told, also by the defaults that it has announced."""
    for name in SCORES:
        made(name)
    with xr.set_options(use_new_combine_kwarg_defaults=new_defaults), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # xarray announces other defaults
        found = xr.open_mfdataset("store/e/scores/trak/*.zarr", **arguments)
    assert found["score"].dims == ("target", "step", "train") and found["target"].values.tolist() == ["a", "b"]
    assert found["score"].sel(target="b").values[0, 0] == ord("b") and found["method"].item() == "trak"


def test_scores_of_all_methods_are_one_dataset(root):
    for method in ("ekfac", "trak"):
        made(f"scores/{method}/a.zarr", method)
    found = xr.open_mfdataset("store/e/scores/*/a.zarr", combine="nested", concat_dim="method", data_vars="all")
    assert found["score"].sel({"method": "ekfac"}).shape == (2, 3) and found["target"].values.tolist() == ["a"]


def test_one_store_is_a_table(root):
    """Rows (step, train) of the scores alone, and the target beside them in the whole store's."""
    made(SCORES[1])
    with xr.open_zarr("store/e/scores/trak/b.zarr") as found:
        assert found["score"].to_dataframe().index.names == ["step", "train"]
        assert set(found.to_dataframe().reset_index()["target"]) == {"b"}
