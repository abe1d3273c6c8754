"""Bases with the same draws share a pass: the same arrays as alone, and a basis that is added makes no other anew."""

import copy
import shutil

import numpy as np
import pytest
from workspace import CONFIG, Workspace

from waypoint.store.zarr.reader import open_store, read

ROWS, TARGETS = {"kernel": {"rows": 12}}, ("a", "b")
FEW, MORE = {"trak": {}, "ekfac": ROWS}, {"diagonal": {}, "fisher": ROWS}
ADDED = ["features/diagonal/full/0.zarr", "fisher/plain/full/0.zarr"]
ADDED += [f"targets/{target}/gradients/diagonal.zarr" for target in TARGETS]
SETTINGS = {"curvature": {"rows": 20}, "checkpoints": {"count": 1}}
OLD = ["features/plain/full/0.zarr", "features/ekfac/full/0.zarr", "fisher/ekfac/full/0.zarr"]
OLD += [f"targets/{target}/gradients/{basis}.zarr" for target in TARGETS for basis in ("plain", "ekfac")]


def workspace(folder, methods, **sections):
    return Workspace(folder, {**copy.deepcopy(CONFIG), **SETTINGS, "methods": methods, **sections}, warm=True)


def run(place, goal="scores", *arguments):
    done = place.snakemake(goal, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """An experiment with two bases, of which the target gradients share a pass."""
    place = workspace(tmp_path_factory.mktemp("few"), FEW)
    run(place)
    return place


@pytest.fixture
def added(few, tmp_path):
    """The same with a third basis and with Fisher rows of another, which are not made yet."""
    shutil.copytree(few.folder, tmp_path / "added")
    return workspace(tmp_path / "added", {**FEW, **MORE})


def arrays(place, name):
    store = open_store(place.store / name)
    return {key: read(store[key]) for key in ("phi", "u", "g") if key in store}


def written(place):
    """When the artifacts of the first two bases were made."""
    return {name: (place.store / name / "zarr.json").stat().st_mtime_ns for name in OLD}


def rules(planned):
    return {job.split()[0] for job in planned}


def test_a_pass_of_two_bases_is_one_job(few, tmp_path):
    planned = workspace(tmp_path / "new", FEW).planned("scores")
    gradients = [job for job in planned if job.startswith("target_gradients")]
    assert gradients == [f"target_gradients_together target={target}" for target in TARGETS]
    # on the train side TRAK has draws of its own
    assert {"featurize", "fisher_rows"} <= rules(planned) and "featurize_together" not in rules(planned)


def test_a_second_run_plans_nothing(few):
    assert few.planned("scores") == []


def test_a_basis_that_is_added_makes_no_other_anew_and_has_the_arrays_that_it_has_alone(added, tmp_path):
    before = written(added)
    planned = added.planned("scores")
    assert {"featurize_together", "fisher_rows_together", "target_gradients_together"} <= rules(planned)
    assert not rules(planned) & {"train", "curvature", "featurize", "fisher_rows", "target_gradients", "score_ekfac"}
    run(added)
    assert before == written(added) and added.planned("scores") == [] and not (added.store / "replaced").exists()
    alone = workspace(tmp_path / "alone", MORE)
    run(alone)
    for name in ADDED:
        for key, values in arrays(alone, name).items():
            found = arrays(added, name)[key]
            assert np.abs(found - values).max() <= 1e-5 * np.abs(values).max(), (name, key)


def test_of_a_pass_only_what_is_lost_is_made_again(few, tmp_path):
    shutil.copytree(few.folder, tmp_path / "lost")
    place = workspace(tmp_path / "lost", FEW)
    lost, kept = (place.store / f"targets/a/gradients/{basis}.zarr" for basis in ("ekfac", "plain"))
    before, values = (kept / "zarr.json").stat().st_mtime_ns, arrays(place, "targets/a/gradients/ekfac.zarr")["g"]
    shutil.rmtree(lost)
    assert place.planned("gradients") == ["gradients", "target_gradients_together target=a"]
    run(place, "gradients")
    assert (kept / "zarr.json").stat().st_mtime_ns == before
    assert np.array_equal(arrays(place, "targets/a/gradients/ekfac.zarr")["g"], values)
    run(place, "gradients", "--forcerun", "target_gradients_together")  # whoever asks for it has all of them made
    assert (kept / "zarr.json").stat().st_mtime_ns != before


def test_shards_are_shared_too(few, tmp_path):
    place = workspace(tmp_path / "shards", {"ekfac": ROWS, "diagonal": {}}, features={"shards": 2})
    assert "featurize_shard_together" in rules(place.planned("features"))
    done = place.snakemake("features")
    assert done.returncode == 0, done.stdout + done.stderr
    for values, found in zip(*(arrays(each, "features/ekfac/full/0.zarr").values() for each in (few, place))):
        assert np.abs(found - values).max() <= 1e-5 * np.abs(values).max()
