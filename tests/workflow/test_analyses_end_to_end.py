"""Every analysis that retrains nothing, through Snakemake: tables and figures, and what reruns."""

import copy

import pandas as pd
import pytest
from workspace import CONFIG, Workspace, own_jobs, scores

EVALUATION = {
    "classifier": {"width": 2, "epochs": 2},
    "samples": {"number": 4, "steps": [100, 500]},
    "likelihood": {},
    "seed_consistency": {},
    "step_correlation": {},
    "sign_overlap": {"top_k": [5]},
    "top_overlap": {"top_k": [5]},
    "split_half": {},
}
BY_TARGET = ["one_step_error", "feature_likelihood", "steepest_intervals", "seed_consistency", "step_correlation"]
BY_TARGET += ["split_half"]
FIGURES = ["one_step_error", "likelihood-a", "likelihood-b", "seed_consistency", "step_correlation", "sign_overlap"]
FIGURES += ["sign_flips", "top_overlap", "split_half"]


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    config = copy.deepcopy(CONFIG)
    config |= {"methods": ["trak", "trak-sum", "norm"], "features": {"keep_halves": True}, "evaluation": EVALUATION}
    workspace = Workspace(tmp_path_factory.mktemp("analysed") / "work", config, warm=True)
    figures = [f"store/tiny/figures/{name}.png" for name in FIGURES]
    done = workspace.snakemake(*figures[:-1])
    assert done.returncode == 0, done.stdout + done.stderr
    # no other test starts the scripts of split_half by themselves
    done = Workspace(workspace.folder, config).snakemake("tables", *figures)
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace


def planned(workspace):
    """Jobs that making the tables takes."""
    return [job for job in workspace.planned("tables") if job != "tables"]


def with_setting(workspace, section, key, value):
    """The same with one setting of an evaluation changed."""
    changed = copy.deepcopy(EVALUATION)
    changed[section][key] = value
    return workspace.changed(evaluation=changed)


def test_tables_have_rows_for_every_target(analysed):
    for name in BY_TARGET:
        assert set(pd.read_csv(analysed.store / f"tables/{name}.csv")["target"]) == {"a", "b"}, name
    for name in ("sign_overlap", "top_overlap"):
        assert len(pd.read_csv(analysed.store / f"tables/{name}.csv")), name
    assert set(pd.read_csv(analysed.store / "tables/split_half.csv")["halves"]) == {"checkpoints", "draws"}


def test_figures_are_made(analysed):
    for name in FIGURES:
        assert (analysed.store / f"figures/{name}.png").stat().st_size > 5_000, name


def test_a_second_run_plans_only_what_was_not_asked_for(analysed):
    assert planned(analysed) == []
    assert {job.split()[0] for job in analysed.planned()} == {"trajectory_panel", "plot_regions", "contact_sheet"}


def test_added_target_is_sampled_and_the_tables_are_made_again(analysed):
    found = planned(analysed.changed(targets=[*CONFIG["targets"], {"id": "c", "seed": 3}]))
    own = own_jobs("c") + scores("c", ["trak", "trak-sum", "norm"])
    assert [job for job in found if "target=" in job] == sorted(own)
    listed = ["feature_likelihood", "one_step_error", "split_half", "seed_consistency", "sign_overlap"]
    listed += ["step_correlation", "top_influences", "top_overlap"]
    assert [job for job in found if "target=" not in job] == sorted(listed)


def test_an_analysis_own_setting_reruns_that_analysis(analysed):
    assert planned(with_setting(analysed, "sign_overlap", "top_k", [5, 10])) == ["sign_overlap"]
    expected = ["feature_likelihood", "one_step_error", *(f"sample_from_x_t target={t}" for t in "ab")]
    assert planned(with_setting(analysed, "samples", "number", 5)) == sorted(expected)


def test_more_attack_steps_train_only_the_robust_classifier(analysed):
    found = planned(with_setting(analysed, "classifier", "attack_steps", 3))
    assert found == ["feature_likelihood", "train_classifier kind=robust"]


def test_what_is_left_out_is_not_planned(analysed):
    assert planned(analysed.changed(evaluation={})) == []
