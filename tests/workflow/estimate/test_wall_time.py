"""Bounds of a run's time against schedules by hand, and what lowers memory against the formulas."""

import copy

import pytest
import yaml
from estimate import rough
from workspace import CONFIG, REPOSITORY

from waypoint.errors import WaypointError
from waypoint.workflow.config.complete import complete
from waypoint.workflow.estimate.costs import Costs
from waypoint.workflow.estimate.memory import LOWERED_BY, Memory, formula_of, hungry
from waypoint.workflow.estimate.nominal import LIGHT_START, START, nominal, recorded
from waypoint.workflow.estimate.wall_time import SHORTENED_BY, at_least, edges_of, lengthy, longest_chain
from waypoint.workflow.plan.plan import Plan

PLANNED = ("curvature", "factor_kernel", "sample_trajectory", "contact_sheet", "sample_from_x_t", "score_trak")
DOT = """digraph snakemake_dag {
    graph[bgcolor=white, margin=0];
\t0[label = "all", color = "0.00 0.6 0.85", style="rounded"];
\t1[label = "prepare", color = "0.40 0.6 0.85", style="rounded"];
\t2[label = "train", color = "0.62 0.6 0.85", style="rounded"];
\t2 -> 0
\t1 -> 2
}"""


def test_a_rule_graph_is_read_as_snakemake_prints_it():
    assert edges_of(DOT) == [("train", "all"), ("prepare", "train")]


def test_the_longest_chain_is_by_time_and_only_of_rules_with_jobs():
    edges = [("a", "b"), ("b", "c"), ("a", "d"), ("c", "all")]
    assert longest_chain({"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}, edges) == (6.0, ("a", "b", "c"))
    assert longest_chain({"a": 1.0, "c": 3.0, "d": 4.0}, edges) == (5.0, ("a", "d"))
    assert longest_chain({}, edges) == (0.0, ())


def test_no_schedule_is_shorter_than_its_work_its_chain_or_its_gpus():
    counts, seconds, edges = {"a": 8, "b": 1}, {"a": 10.0, "b": 5.0}, [("a", "b")]
    assert at_least(counts, seconds, edges, 1) == (85.0, "all work shared by 1 core")
    assert at_least(counts, seconds, edges, 100) == (15.0, "the longest chain of jobs, a → b")
    assert at_least(counts, seconds, edges, 100, {"a"}, 2) == (40.0, "work on 2 GPUs")


def memory(sizes, **sections):
    import torch

    plan = Plan(complete({**copy.deepcopy(CONFIG), "methods": ["ekfac", "trak", "fisher", "wiener"], **sections}))
    return Memory(plan, sizes, 10, 1000, torch.device("cpu"), 7, 5)


@pytest.mark.parametrize(
    "rule, sections",
    [
        ("train", {"training": {**CONFIG["training"], "batch_size": 5}}),
        ("train_subset", {"training": {**CONFIG["training"], "batch_size": 5}}),
        ("featurize_shard", {"features": {"shards": 4}}),
        ("featurize", {"attribution": {**CONFIG["attribution"], "train_draws": 1}}),
        ("target_gradients", {"attribution": {**CONFIG["attribution"], "target_draws": 1}}),
        ("target_gradients", {"attribution": {**CONFIG["attribution"], "steps": [100]}}),
        ("curvature", {"curvature": {"rows": 8}}),
        ("diagonal_curvature", {"curvature": {"rows": 8}}),
        ("factor_kernel", {"projection": {"dim": 8}}),
        ("fisher_rows", {"methods": {"ekfac": {"kernel": {"rows": 8}}, "fisher": {"kernel": {"rows": 8}}}}),
    ],
)
def test_memory_falls_with_the_keys_that_are_named(rule, sections):
    from test_costs import SIZES

    name = next(iter(sections))
    assert any(name in key or name in ("methods", "attribution") for key in LOWERED_BY[formula_of(rule)])
    assert memory(SIZES, **sections).bytes(rule) < memory(SIZES).bytes(rule)


def test_every_rule_with_a_formula_has_keys():
    formulas = {name[1:] for name in vars(Memory) if name.startswith("_") and name[1:] in LOWERED_BY}
    assert formulas == set(LOWERED_BY)


def test_the_hungriest_three_are_told_and_none_where_memory_is_no_matter():
    held = {"train": 2e9, "featurize": 4e9, "curvature": 3e9, "factor_kernel": 1.5e9, "score_wiener": 1e6}
    assert list(hungry(held)) == ["featurize", "curvature", "train"]
    assert hungry({"train": 1e8}) == {}


def test_what_takes_most_of_the_time_is_told_with_the_keys_that_shorten_it():
    hours = {"train": 5.0, "featurize_together": 3.0, "near_duplicates": 1.5, "score_trak": 0.1}
    told = lengthy(hours)
    assert list(told) == ["train", "featurize_together"] and "training.epochs" in told["train"]
    assert told["featurize_together"] == SHORTENED_BY["featurize"] and lengthy({}) == {}


def test_nominal_costs_know_what_is_heavy_without_data_or_models():
    plan = Plan(complete({**copy.deepcopy(CONFIG), "training": {**CONFIG["training"], "epochs": 50_000}}))
    costs = nominal(plan, {"train"})
    assert costs.seconds("train") > 10 * costs.seconds("score_trak") > 0
    assert costs.sizes.images == 40 and costs.seconds("plot_lds") == costs.rates.light_start


def test_a_rough_time_of_all_jobs_is_said_before_anything_is_timed(monkeypatch):
    monkeypatch.setattr(Costs, "seconds", lambda costs, rule: 600.0 if rule == "train" else 30.0)
    said = rough(Plan(complete(copy.deepcopy(CONFIG))), {"train": 3, "score_trak": 4}, {"train"}, 2)
    assert said.startswith("7 jobs, very roughly: about 16 min on 2 cores. A little of every kind of work is now timed")


@pytest.mark.parametrize("file", ["config.yaml", "experiments/digits-lds.yaml", "experiments/emoji.yaml"])
def test_every_rule_of_an_experiment_has_nominal_costs(file):
    try:
        plan = Plan(complete(yaml.safe_load((REPOSITORY / file).read_text())))
    except WaypointError as error:
        pytest.skip(str(error))
    costs = nominal(plan, set())
    rules = {*costs.by_rule, *(name[1:] for name in dir(costs) if name.startswith("_") and name[1:].isidentifier())}
    told = {rule: costs.seconds(rule) for rule in rules if rule in ("train", "featurize", "target_gradients", *PLANNED)}
    assert told and all(seconds > 0 for seconds in told.values())


def test_finished_artifacts_tell_how_long_a_job_takes(tmp_path, monkeypatch):
    assert recorded([tmp_path / "none.zarr"], True) is None
    found = {"a": {"seconds": 10.0}, "b": {"seconds": 20.0}, "c": {}}
    monkeypatch.setattr(f"{recorded.__module__}.read_attributes", found.get)
    assert recorded(["a", "c", "d", "b"], False) == 15 + LIGHT_START and recorded(["a"], True) == 10 + START
