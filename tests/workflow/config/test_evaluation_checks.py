"""Evaluations that contradict the configuration are refused by key, before hours of retraining."""

from pathlib import Path

import numpy as np
import pytest
from test_config import BASE, EVERY_EVALUATION, GONE, config, hub_has_everything, message  # noqa: F401

from waypoint.workflow.config.complete import complete
from waypoint.workflow.config.evaluated import chosen_targets
from waypoint.workflow.evaluations.fid import needed_weights, weights_of
from waypoint.workflow.plan.plan import Plan

CF, FORGET = "evaluation.counterfactual", "evaluation.forgetting"
REMOVALS = {"checkpoints.count": 3, "attribution.steps": [100, 300, 400]}
COUNTERFACTUAL = {**REMOVALS, f"{CF}.n_remove": [5]}
FORGETTING = {**REMOVALS, f"{FORGET}.n_remove": [5]}
OWN = {"targets.0.seed": GONE, "targets.0.trajectory": "own.npz", "targets.0.steps": [100]}
PATHS = {"model": GONE, "checkpoints": {"paths": ["plain", "other"]}}
CONDITIONAL = {"model.unet.num_class_embeds": 10, "targets.0.label": 1, "targets.1.label": 2}
CLASSIFIER = {"evaluation.fid.features": "classifier"}


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """A working directory with two existing models and a trajectory of two steps."""
    monkeypatch.chdir(tmp_path)
    for part, file in (("unet", "config.json"), ("scheduler", "scheduler_config.json")):
        for name in ("plain", "other"):
            Path(name, part).mkdir(parents=True)
            Path(name, part, file).write_text("{}")
    np.savez("own.npz", x_t=np.zeros((2, 1, 8, 8)), step=np.array([400, 100]))


# what is right, what makes it wrong, and words of the message
REFUSED = {
    "lds of existing models": ({"evaluation.lds": {}}, PATHS, ["evaluation.lds", "checkpoints.count"]),
    "counterfactual of existing models": (COUNTERFACTUAL, PATHS, [CF, "checkpoints.count", "checkpoints.paths"]),
    "forgetting of existing models": (FORGETTING, PATHS, [FORGET, "checkpoints.count", "checkpoints.paths"]),
    # lds
    "lds.steps": (
        {"evaluation.lds.steps": [100, 980]},
        {"evaluation.lds.steps": [100, 985]},
        ["evaluation.lds.steps", "985", "960 and 980"],
    ),
    "lds.steps of an own trajectory": (
        {**OWN, "evaluation.lds.steps": [100, 400]},
        {"evaluation.lds.steps": [100, 500]},
        ["targets[0]", "(a)", "evaluation.lds.steps", "trajectory", "500", "100 and 400"],
    ),
    "lds.checkpoints": (
        {"evaluation.lds.checkpoints": [1, 2], "scores.keep_checkpoints": True},
        {"evaluation.lds.checkpoints": [1, 3]},
        ["evaluation.lds.checkpoints", "3", "checkpoints.count 2"],
    ),
    "lds.checkpoints without scores of each": (
        {"evaluation.lds.checkpoints": [1], "scores.keep_checkpoints": True},
        {"scores.keep_checkpoints": False},
        ["evaluation.lds.checkpoints", "scores.keep_checkpoints: true"],
    ),
    "lds.fraction": (
        {"evaluation.lds.fraction": 0.2, "data.subset": 5},
        {"data.subset": 4},
        ["evaluation.lds.fraction", "0.2", "4 training images"],
    ),
    "lds.spans": (
        {"evaluation.lds.spans": [[100, 500]]},
        {"evaluation.lds.spans": [[901, 950]]},
        ["evaluation.lds.spans", "[901, 950]"],
    ),
    "lds.fraction of a list": (
        {"evaluation.lds.fraction": 0.5, "data.subset": [4, 2]},
        {"data.subset": [4]},
        ["evaluation.lds.fraction", "0.5", "1 training images"],
    ),
    # counterfactual and forgetting
    "counterfactual without other models": (
        COUNTERFACTUAL,
        {"checkpoints.count": 2},
        [CF, "evaluation.controls.full_models", "checkpoints.count is 2"],
    ),
    "forgetting without other models": (
        {**FORGETTING, "checkpoints.count": 4, "evaluation.controls.full_models": 3},
        {"checkpoints.count": 3},
        [FORGET, "3 models", "evaluation.controls.full_models", "checkpoints.count is 3"],
    ),
    "counterfactual.step off the grid": (COUNTERFACTUAL, {f"{CF}.step": 401}, [f"{CF}.step", "401", "400 and 420"]),
    "forgetting.step off the grid": (FORGETTING, {f"{FORGET}.step": 999}, [f"{FORGET}.step", "999", "960 and 980"]),
    "counterfactual.step that is not attributed": (
        COUNTERFACTUAL,
        {f"{CF}.step": 500},
        [f"{CF}.step", "500", "attributed steps of target a"],
    ),
    "forgetting.step that one target lacks": (
        {**FORGETTING, f"{FORGET}.targets": 2},
        {"targets.1.steps": [100, 400]},
        [f"{FORGET}.step", "300", "attributed steps of target b"],
    ),
    "a float that is no share": (COUNTERFACTUAL, {f"{CF}.n_remove": [0.5, 5.0]}, [f"{CF}.n_remove", "5.0", "integer"]),
    "n_remove of everything": (
        {**COUNTERFACTUAL, "data.subset": 20, f"{CF}.n_remove": [19]},
        {f"{CF}.n_remove": [5, 20]},
        [f"{CF}.n_remove", "20 of 20"],
    ),
    "a share of nothing": (
        {**FORGETTING, "data.subset": 20, f"{FORGET}.n_remove": [0.03]},
        {f"{FORGET}.n_remove": [0.02]},
        [f"{FORGET}.n_remove", "0.02 of 20"],
    ),
    "a share of everything": (
        {**FORGETTING, "data.subset": 20, f"{FORGET}.n_remove": [0.95]},
        {f"{FORGET}.n_remove": [0.99]},
        [f"{FORGET}.n_remove", "0.99 of 20"],
    ),
    "counterfactual.methods": (
        {**COUNTERFACTUAL, "methods": ["trak"], f"{CF}.methods": ["trak", "random"]},
        {f"{CF}.methods": ["pixel"]},
        [f"{CF}.methods", "pixel"],
    ),
    "forgetting.methods": (
        {**FORGETTING, "methods": ["pixel"], f"{FORGET}.methods": ["pixel"]},
        {f"{FORGET}.methods": ["trak"]},
        [f"{FORGET}.methods", "trak"],
    ),
    "counterfactual.targets": (
        {**COUNTERFACTUAL, f"{CF}.targets": ["b"]},
        {f"{CF}.targets": ["b", "c"]},
        [f"{CF}.targets", "'c'"],
    ),
    "forgetting.targets": (
        {**FORGETTING, f"{FORGET}.targets": 2},
        {f"{FORGET}.targets": 3},
        [f"{FORGET}.targets", "3"],
    ),
    "forgetting without a seed": (
        {**FORGETTING, f"{FORGET}.step": 100, f"{FORGET}.targets": ["b"], **OWN},
        {f"{FORGET}.targets": ["a"]},
        [f"{FORGET}.targets", "a has no seed"],
    ),
    "too few images for Inception": (
        {**COUNTERFACTUAL, f"{CF}.images": 2049},
        {f"{CF}.images": 2048},
        [f"{CF}.images", "2048 images", "2048 features", "evaluation.fid.dims"],
    ),
    "too few images for fewer dimensions": (
        {**COUNTERFACTUAL, f"{CF}.images": 65, "evaluation.fid.dims": 64},
        {f"{CF}.images": 64},
        [f"{CF}.images", "64 features", "evaluation.fid.dims"],
    ),
    "too few images for the classifier": (
        {**COUNTERFACTUAL, f"{CF}.images": 33, **CLASSIFIER, "evaluation.classifier.width": 8},
        {"evaluation.classifier.width": 16},
        [f"{CF}.images", "33 images", "64 features", "evaluation.classifier.width"],
    ),
    # samples and likelihood
    "samples.steps": (
        {"evaluation.samples.steps": [0, 980]},
        {"evaluation.samples.steps": [10]},
        ["evaluation.samples.steps", "10", "0 and 20"],
    ),
    "samples.steps of an own trajectory": (
        {**OWN, "evaluation.samples.steps": [400]},
        {"evaluation.samples.steps": [500]},
        ["targets[0]", "evaluation.samples.steps", "500"],
    ),
    "samples.targets": (
        {"evaluation.samples.targets": ["a", "b"]},
        {"evaluation.samples.targets": ["nobody"]},
        ["evaluation.samples.targets", "'nobody'"],
    ),
    "likelihood without samples": (
        {"evaluation.likelihood": {}, "evaluation.samples": {}},
        {"evaluation.samples": None},
        ["evaluation.likelihood", "evaluation.samples"],
    ),
    "likelihood.features": (
        {"evaluation.likelihood.features": {"b": 3}, "evaluation.samples.targets": ["b"]},
        {"evaluation.samples.targets": ["a"]},
        ["evaluation.likelihood.features", "'b'", "evaluation.samples"],
    ),
    # seed consistency
    "seed_consistency.models": (
        {"evaluation.seed_consistency": {}},
        {"evaluation.seed_consistency.models": ["full/0", "full/2"]},
        ["evaluation.seed_consistency.models", "full/2", "2 checkpoints"],
    ),
    "seed_consistency.models of existing ones": (
        {"evaluation.seed_consistency": {}, **PATHS},
        {"evaluation.seed_consistency.models": ["full/1", "full/5"]},
        ["evaluation.seed_consistency.models", "full/5", "2 checkpoints"],
    ),
    "seed_consistency.targets": (
        {"evaluation.seed_consistency.targets": 2},
        {"evaluation.seed_consistency.targets": 3},
        ["evaluation.seed_consistency.targets", "3", "2 targets"],
    ),
    "seed_consistency without seeds": (
        {**OWN, "evaluation.seed_consistency.images": 1, "evaluation.seed_consistency.targets": ["a"]},
        {"evaluation.seed_consistency.images": 0},
        ["evaluation.seed_consistency", "no target has a seed"],
    ),
    "seed_consistency.images of a conditional model": (
        {**CONDITIONAL, "evaluation.seed_consistency": {}},
        {"evaluation.seed_consistency.images": 3},
        ["evaluation.seed_consistency.images", "full/0 is conditional"],
    ),
    # analyses of scores
    "split_half": (
        {"evaluation.split_half": {}, "scores.keep_checkpoints": True},
        {"scores.keep_checkpoints": False},
        ["evaluation.split_half", "scores.keep_checkpoints: true"],
    ),
    "keep_halves of one train draw": (
        {"features.keep_halves": True, "attribution.train_draws": 2, "attribution.target_draws": 2},
        {"attribution.train_draws": 1},
        ["features.keep_halves", "attribution.train_draws"],
    ),
    "keep_halves of one target draw": (
        {"features.keep_halves": True, "attribution.train_draws": 2, "attribution.target_draws": 2},
        {"attribution.target_draws": 1},
        ["features.keep_halves", "attribution.target_draws"],
    ),
    "step_correlation of methods without steps": (
        {"evaluation.step_correlation": {}, "methods": ["trak-sum", "trak"]},
        {"methods": ["trak-sum", "norm"]},
        ["evaluation.step_correlation", "trak-sum and norm", "add another method"],
    ),
    "sign_overlap of methods without steps": (
        {"evaluation.sign_overlap": {}, "methods": ["norm", "random"]},
        {"methods": ["norm"]},
        ["evaluation.sign_overlap", "add another method"],
    ),
    "step_correlation of one step": (
        {"evaluation.step_correlation": {}, "attribution.steps": [100], "targets.0.steps": [100, 300]},
        {"targets.0.steps": [300]},
        ["evaluation.step_correlation", "at least two"],
    ),
    "sign_overlap of different steps": (
        {"evaluation.sign_overlap": {}, "targets.0.steps": [100, 300, 500], "targets.1.steps": [300, 500]},
        {"targets.1.steps": [300, 700]},
        ["evaluation.sign_overlap", "two steps that all targets have"],
    ),
    "top_overlap of one target": (
        {"evaluation.top_overlap": {}},
        {"targets": [{"id": "a", "seed": 1}]},
        ["evaluation.top_overlap", "only one"],
    ),
    "sign_overlap.top_k": (
        {"evaluation.sign_overlap.top_k": [1, 10], "data.subset": 20},
        {"data.subset": 19},
        ["evaluation.sign_overlap.top_k", "10", "19 training images"],
    ),
    "features.shards": (
        {"features.shards": 5, "data.subset": 5},
        {"features.shards": 6},
        ["features.shards", "6", "5 training images"],
    ),
    "top_overlap.top_k": (
        {"evaluation.top_overlap.top_k": [50], "data.subset": list(range(100))},
        {"evaluation.top_overlap.top_k": [20, 51]},
        ["evaluation.top_overlap.top_k", "51", "100 training images"],
    ),
}


@pytest.mark.parametrize("right, wrong, words", REFUSED.values(), ids=REFUSED)
def test_a_contradiction_is_refused_by_key_and_what_is_right_accepted(right, wrong, words):
    complete(config(right))
    text = message({**right, **wrong})
    for word in words:
        assert word in text


def test_all_evaluations_together_are_accepted():
    complete(config(EVERY_EVALUATION))


@pytest.mark.parametrize("name", ["lds", "counterfactual", "forgetting", "samples", "seed_consistency", "sign_overlap"])
def test_a_section_that_is_null_is_not_checked(name):
    complete(config({f"evaluation.{name}": None, **PATHS}))


def test_an_own_trajectory_of_another_target_does_not_limit_samples():
    complete(config({**OWN, "evaluation.samples.steps": [500], "evaluation.samples.targets": ["b"]}))


def chosen(targets, section="counterfactual"):
    return chosen_targets({**BASE, "evaluation": {section: {"targets": targets}}}, section)


def test_targets_are_a_list_or_a_count_or_all():
    assert chosen(["b"]) == ["b"] and chosen(["b", "a"]) == ["b", "a"]
    assert chosen(1) == ["a"] and chosen(2) == ["a", "b"]
    assert chosen(None) == ["a", "b"]
    assert chosen_targets({**BASE, "evaluation": {"lds": {}}}, "lds") == ["a", "b"]  # it has no such key


def test_chosen_targets_are_a_list_of_their_own():
    given = ["a"]
    chosen(given).append("b")
    assert given == ["a"]


# ---- Inception's weights


def weights(changes):
    return needed_weights(Plan(complete(config({**COUNTERFACTUAL, **changes}))))


def test_weights_are_looked_for_where_torch_keeps_them(monkeypatch):
    name = "hub/checkpoints/pt_inception-2015-12-05-6726825d.pth"
    for variable in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert weights_of({"weights": None}) == f"/home/somebody/.cache/torch/{name}"
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert weights_of({"weights": None}) == f"/cache/torch/{name}"
    monkeypatch.setenv("TORCH_HOME", "~/models")
    assert weights_of({"weights": None}) == f"/home/somebody/models/{name}"
    assert weights_of({"weights": "given.pth"}) == "given.pth"


def test_that_is_where_torch_keeps_them(monkeypatch, tmp_path):
    """torch.hub's own answer; pytorch-fid asks it."""
    import torch

    for variable in ("XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
        assert Path(weights_of({"weights": None})).parents[1] == Path(torch.hub.get_dir())


def test_weights_are_wanted_only_where_something_reads_them():
    assert weights({"evaluation.fid.weights": "given.pth"}) == "given.pth"
    assert weights({"evaluation.fid.weights": "given.pth", **CLASSIFIER}) == []
    assert needed_weights(Plan(complete(config({"evaluation.fid.weights": "given.pth"})))) == []
