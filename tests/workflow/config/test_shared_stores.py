"""Several stores: written to the first, read from all, and nothing of the others is ever changed."""

import copy
import os
from pathlib import Path

import pytest
import xarray as xr
from support import store
from workspace import CONFIG, Workspace, of_checkpoint, own_jobs, panels, scores

from waypoint.errors import WaypointError
from waypoint.workflow.config.shared_stores import folders, link, other_copy

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
    assert planned == sorted([*own_jobs("new"), *scores("new"), *panels("new"), "top_influences"])
    done = mine.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    assert mine.planned() == []
    root = mine.folder / "mine/tiny"
    assert xr.open_zarr(root / "scores/trak/new.zarr")["score"].shape == (2, 40)
    assert not (root / "scores/trak/new.zarr").is_symlink() and (root / "features/plain/full/0.zarr").is_symlink()
    assert tree(published.folder) == before


def test_what_they_made_with_other_settings_is_not_taken(published, mine):
    """Their images and models are; features of another size are made again, in a store of my own."""
    before = tree(published.folder)
    mine.config["projection"] = {"dim": 8}
    planned = mine.planned()
    assert set(of_checkpoint(0) + of_checkpoint(1)) < set(planned)
    assert not [job for job in planned if job.split()[0] in ("prepare_data", "train")]
    assert "sample_trajectory target=a" not in planned and "sample_trajectory target=new" in planned
    assert not (mine.folder / "mine").exists() and tree(published.folder) == before  # a dry run leaves no link


def test_a_link_whose_store_moved_is_made_anew(published, mine):
    features = "mine/tiny/features/plain/full/0.zarr"
    done = mine.snakemake(features)
    assert done.returncode == 0, done.stdout + done.stderr
    place = mine.folder / features
    theirs = place.resolve()
    place.unlink()
    place.symlink_to(theirs.parent / "gone.zarr")
    done = mine.snakemake(features)
    assert "Nothing to be done" in done.stdout + done.stderr
    assert place.resolve() == theirs


def test_my_settings_replace_a_link_and_not_what_it_leads_to(published, mine):
    mine.config["targets"] = [{"id": "a", "seed": 1}]
    kernel = "mine/tiny/kernels/trak/full/0.zarr"
    assert mine.snakemake(kernel).returncode == 0 and (mine.folder / kernel).is_symlink()
    before = tree(published.folder)
    mine.config["kernel"] = {"damping": 0.5}
    done = mine.snakemake(kernel)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (mine.folder / kernel).is_symlink() and not (mine.folder / "mine/tiny/replaced").exists()
    assert tree(published.folder) == before


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
