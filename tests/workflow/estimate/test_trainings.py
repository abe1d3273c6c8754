"""How many models evaluations train, and how long at the pace of those that are there."""

import pytest
from support import store, tiny_config

from waypoint.workflow.estimate.trainings import trainings
from waypoint.workflow.plan.plan import Plan


@pytest.fixture
def plan(tmp_path, monkeypatch, tiny_model):
    monkeypatch.chdir(tmp_path)
    return Plan(tiny_config(tiny_model, evaluation={"lds": {"subsets": 8}}))


def made(seconds, epochs=3):
    return {"stage": "train", "seconds": seconds, "spec": {"train": {"version": 1, "training": {"epochs": epochs}}}}


def test_plans_without_trainings_say_nothing(plan):
    assert trainings(plan, {"train": 3}, []) == ""


def test_eight_subsets_are_forty_models(plan):
    text = trainings(plan, {"train_subset": 40}, [])
    assert "will train 40 models: 40 on random subsets (evaluation.lds: 8 subsets with 5 models each)" in text
    assert "make estimate" in text


def test_the_pace_is_that_of_the_models_that_are_there(plan):
    """30 images for 3 epochs took 900 s: 10 s an image and epoch; halves of 15 images take 450 s each."""
    store("results/tiny/data/train.zarr", image=(["train", "channel", "y", "x"], [[[[0.0]]]] * 30))
    text = trainings(plan, {"train_subset": 40}, [made(900.0), made(2.0)])
    assert "about 5.0 hours" in text  # 40 × 450 s
    text = trainings(plan, {"train_subset": 16}, [made(900.0)])
    assert "16 models" in text and "about 2.0 hours" in text


def test_removals_are_counted_beside_them(tmp_path, monkeypatch, tiny_model):
    monkeypatch.chdir(tmp_path)
    own = {"targets": ["a"], "step": 100, "n_remove": [6], "images": 100}
    evaluation = {"counterfactual": own, "fid": {"features": "classifier"}}
    plan = Plan(tiny_config(tiny_model, checkpoints={"count": 3}, evaluation=evaluation))
    store("results/tiny/data/train.zarr", image=(["train", "channel", "y", "x"], [[[[0.0]]]] * 30))
    text = trainings(plan, {"train_without": 2, "train_without_random": 3}, [made(900.0)])
    assert "5 models: 5 without some of the images" in text and "about 1.0 hours" in text  # 5 × 24/30 of 900 s
