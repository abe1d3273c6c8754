"""Several stores: written to the first, read from all, and nothing of the others is ever changed."""

import copy
import os
from pathlib import Path

import pytest
import xarray as xr
from support import store
from workspace import CONFIG, Workspace, panels, scores

from waypoint.errors import WaypointError
from waypoint.workflow.config.shared_stores import folders, link_artifacts

OTHERS = "shared"


def tree(folder):
    """{path: (size, change time)} of every file and folder."""
    found = [Path(root, name) for root, places, files in os.walk(folder) for name in (*places, *files)]
    return {path: (path.lstat().st_size, path.lstat().st_ctime_ns) for path in [Path(folder), *found]}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Somebody's finished experiment of one target."""
    config = {**copy.deepcopy(CONFIG), "store": OTHERS, "targets": [{"id": "a", "seed": 1}]}
    made = Workspace(tmp_path_factory.mktemp("published") / "theirs", config, warm=True)
    done = made.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture
def mine(published, tmp_path):
    """My folder, which writes to a store of its own."""
    config = {**copy.deepcopy(CONFIG), "store": ["mine", str(published.folder / OTHERS)]}
    config["targets"] = [{"id": "a", "seed": 1}, {"id": "new", "seed": 7}]
    return Workspace(tmp_path / "work", config, warm=True)


def test_a_new_target_is_scored_in_a_store_of_my_own(published, mine):
    before = tree(published.folder)
    planned = mine.planned()
    assert planned == sorted(
        ["sample_trajectory target=new", "target_gradients target=new", *scores("new"), *panels("new"), *panels("a")]
        + ["top_influences"]
    )
    done = mine.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    assert mine.planned() == []
    root = mine.folder / "mine/tiny"
    assert xr.open_zarr(root / "scores/trak/new.zarr")["score"].shape == (2, 40)
    assert not (root / "scores/trak/new.zarr").is_symlink() and (root / "features/full/0.zarr").is_symlink()
    assert tree(published.folder) == before


def test_other_settings_than_theirs_are_refused_by_key(mine):
    mine.config["projection"] = {"dim": 8}
    done = mine.snakemake("-n")
    assert done.returncode and "projection.dim" in done.stdout + done.stderr


def test_a_store_is_one_folder_or_several():
    assert folders("results") == ["results"] and folders(["a", "b"]) == ["a", "b"]


def test_the_first_store_that_has_something_gives_it(tmp_path):
    for name, values in (("mine", [1.0]), ("theirs", [2.0]), ("others", [3.0])):
        if name != "mine":
            store(tmp_path / name / "e/features/full/0.zarr", phi=(["train"], values))
        store(tmp_path / name / "e/data/train.zarr", image=(["train"], values))
    link_artifacts(tmp_path / "mine/e", [tmp_path / "theirs/e", tmp_path / "others/e"])
    link_artifacts(tmp_path / "mine/e", [tmp_path / "others/e"])  # nothing is left to link
    opened = {name: xr.open_zarr(tmp_path / "mine/e" / name) for name in ("features/full/0.zarr", "data/train.zarr")}
    assert opened["features/full/0.zarr"]["phi"].values == [2.0] and opened["data/train.zarr"]["image"].values == [1.0]


def test_what_is_half_written_or_follows_from_a_list_of_targets_is_left(tmp_path):
    theirs = tmp_path / "theirs/e"
    (theirs / "features/full/0.zarr.tmp-host-1-aaaaaaaa").mkdir(parents=True)
    (theirs / "checkpoints/full/0").mkdir(parents=True)  # no marker: not finished
    (theirs / "tables").mkdir()
    (theirs / "tables/top_influences.csv").write_text("a\n")
    link_artifacts(tmp_path / "mine/e", [theirs])
    assert not (tmp_path / "mine").exists()


def test_a_store_that_cannot_be_written_is_named(tmp_path):
    store(tmp_path / "theirs/e/data/train.zarr", image=(["train"], [1.0]))
    (tmp_path / "mine").write_text("a file")
    with pytest.raises(WaypointError, match="store: .*mine.* cannot be written"):
        link_artifacts(tmp_path / "mine/e", [tmp_path / "theirs/e"])
