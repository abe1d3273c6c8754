"""Which parts are kept where the configuration does not say; features that are stored already stay as they are."""

import copy

import pytest
from support import UNET, store

from waypoint.workflow.config.complete import complete
from waypoint.workflow.kept_scores import kept
from waypoint.workflow.plan.plan import Plan

BASE = {
    "experiment": "test",
    "store": "store",
    "data": {"source": "digits"},
    "model": {"unet": UNET},
    "checkpoints": {"count": 1},
    "targets": [{"id": "a", "seed": 1}],
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def plan(**sections):
    return Plan(complete({**copy.deepcopy(BASE), **sections}))


def halves(**sections):
    return plan(**sections).config["features"]["keep_halves"]


def test_kept_by_the_size_of_the_features_or_as_asked():
    assert kept(None, 50_000, 4096, 2) and not kept(None, 50_000, 4096, 3) and not kept(None, 500_000, 4096, 1)
    assert kept(True, 10**9, 10**5, 100) and not kept(False, 1, 1, 1)


def test_halves_are_kept_of_one_checkpoint_where_there_is_room():
    assert halves() and not halves(checkpoints={"count": 2})
    assert halves(data={"source": "digits", "subset": 30}) and halves(
        data={"source": "digits", "near_duplicates": 0.01}
    )
    assert not halves(projection={"dim": 2_000_000}) and not halves(projection={"kind": "none"})
    assert not halves(attribution={"train_draws": 1}) and not halves(attribution={"target_draws": 1})
    assert halves(checkpoints={"count": 2}, features={"keep_halves": True}) and not halves(
        features={"keep_halves": False}
    )


def features(kept_halves):
    """Stored features of the first checkpoint."""
    spec = {"featurize": {"version": 2, "features": {"keep_halves": kept_halves}}}
    store("store/test/features/plain/full/0.zarr", {"spec": spec, "weights": "w"}, phi=(["train"], [0.0]))


@pytest.mark.parametrize("before", [True, False])
def test_stored_features_stay_as_they_are_and_further_checkpoints_follow(before):
    features(before)
    assert halves() is before and halves(checkpoints={"count": 2}) is before
    assert halves(features={"keep_halves": not before}) is not before
    assert halves(experiment="another") is True


def test_scores_of_halves_are_of_a_single_checkpoint_and_part_of_the_spec():
    def section(**sections):
        return plan(**sections).spec("score_trak", method="trak", target="a")["score_trak"]["scores"]

    assert section() == {"keep_checkpoints": None, "keep_halves": True}
    assert section(checkpoints={"count": 2}, features={"keep_halves": True}) == {"keep_checkpoints": None}
    assert section(features={"keep_halves": False}) == {"keep_checkpoints": None}
