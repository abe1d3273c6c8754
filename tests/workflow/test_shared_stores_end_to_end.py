"""Several stores: a run writes to the first, reads from all, and never changes anything in the others."""

import copy
import os
from pathlib import Path

import pytest
import xarray as xr
from workspace import CONFIG, Workspace, of_checkpoint, own_jobs, panels, scores

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
