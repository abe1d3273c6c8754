"""Lines, times and refusals, and what is read out of logs."""

import os

import pytest

from waypoint.workflow.terminal import job_log, words


@pytest.mark.parametrize(
    "rule, wildcards, name",
    [
        ("train", {"checkpoint": "full/0"}, "train full/0"),
        ("train_subset", {"subset": "3"}, "train_subset subset=3"),
        ("trajectory_panel", {"target": "a", "method": "trak"}, "trajectory_panel a trak"),
        ("score_trak_sum", {"method": "trak-sum", "target": "a"}, "score_trak_sum a"),
        ("prepare_data", {}, "prepare_data"),
        ("prepare_data", None, "prepare_data"),
    ],
)
def test_jobs_are_named_by_rule_and_item(rule, wildcards, name):
    assert words.job_name(rule, wildcards) == name


def test_times_are_no_finer_than_they_are_known():
    assert [words.clock(s) for s in (0.4, 59.4, 59.6, 200, 3900)] == [
        "0 s",
        "59 s",
        "1 min 00 s",
        "3 min 20 s",
        "1 h 05 min",
    ]
    assert [words.about(s) for s in (10, 55, 600, 7200)] == [
        "less than a minute left",
        "about 1 min left",
        "about 10 min left",
        "about 2.0 h left",
    ]
    assert words.percent(0.999) == " 99 %" and words.percent(1.0) == "100 %"


def test_the_table_of_a_dry_run_has_a_line_a_rule():
    assert words.dry_table({"train": 2, "score_trak": 1200}).splitlines() == [
        "rule          jobs",
        "train            2",
        "score_trak    1200",
        "total         1202",
    ]


def test_refusals_of_our_own_lose_snakemakes_frame_and_others_keep_theirs():
    place = '"/w/rules/common.smk", line 60'
    raised = f"WorkflowError in file {place}:\nunknown key\n  File {place}, in <module>"
    assert words.refusal(raised, "/w") == "Waypoint: unknown key"
    assert words.refusal(raised, "/elsewhere") == raised
    assert words.refusal("WorkflowError:\nWaypoint: this run would replace 2 models", "/w").startswith("Waypoint: this")
    locked = "LockException:\nError: Directory cannot be locked."
    assert words.refusal(locked, "/w") == locked


@pytest.mark.parametrize(
    "message",
    [
        "WorkflowError:\nAt least one job did not complete successfully.",
        "RuleException:\nCalledProcessError in file \"/w/rules/models.smk\", line 30:\nCommand 'set' returned",
    ],
)
def test_what_only_repeats_a_failed_job_is_left_out(message):
    assert words.refusal(message, "/w") is None


def test_a_log_tells_progress_warnings_and_the_last_sentence(tmp_path):
    log = tmp_path / "job.log"
    log.write_text(
        "Waypoint: warning: slow\nprogress 1/9 epochs rate=1/s eta=8s\n"
        "Waypoint: warning: slow\nWaypoint: warning: odd\n"
        "progress 2/9 epochs rate=0.5/s eta=14s full/0 loss=1\nTraceback\nWaypoint: the loss is nan\n  in epoch 2\n"
    )
    text = job_log.tail(log)
    assert job_log.progress(text) == ("2/9 epochs", 14.0)
    assert job_log.warnings(log) == ["slow", "odd"]
    assert job_log.sentence(text) == "Waypoint: the loss is nan\n  in epoch 2"


def test_a_log_that_is_not_there_or_an_earlier_runs_says_nothing(tmp_path):
    log = tmp_path / "job.log"
    assert job_log.tail(log) == "" and job_log.warnings(log) == []
    log.write_text("Waypoint: warning: old\nWaypoint: an earlier failure\n")
    os.utime(log, (100, 100))
    assert job_log.tail(log, since=200) == "" and job_log.warnings(log, since=200) == []
    assert job_log.sentence("") is None and job_log.progress("") is None
    assert job_log.sentence("Waypoint: warning: only this") is None


def test_of_a_long_log_the_end_is_read(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("Waypoint: an early sentence\n" + "x\n" * job_log.TAIL + "progress 3/4 rows rate=1/s eta=1s\n")
    assert job_log.progress(job_log.tail(log)) == ("3/4 rows", 1.0) and job_log.sentence(job_log.tail(log)) is None
