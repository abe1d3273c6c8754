"""Shares and times of a run against sums by hand."""

import pytest

from waypoint.workflow.terminal.pace import PRIOR_SECONDS, Pace


def test_the_share_is_weighted_by_time_and_not_by_jobs():
    pace = Pace({"light": 9, "heavy": 1}, {"light": 1.0, "heavy": 91.0}, cores=1)
    for _ in range(9):
        pace.finished("light", 1.0)
    assert pace.share() == pytest.approx(0.09) and pace.eta() == pytest.approx(91)
    pace.finished("heavy", 200.0)
    assert pace.share() == 1.0 and pace.eta() == 0


def test_what_a_rule_takes_in_this_run_replaces_what_was_expected():
    pace = Pace({"train": 3}, {"train": 10.0}, cores=1)
    assert pace.eta() == 30
    pace.finished("train", 40.0)
    assert pace.eta() == 80 and pace.share() == pytest.approx(1 / 3)


def test_other_rules_are_expected_to_be_as_much_slower_but_those_measured_earlier_stay():
    pace = Pace({"a": 1, "b": 1, "c": 1}, {"a": 10.0, "b": 100.0, "c": 7.0}, measured={"c"}, cores=1)
    pace.finished("a", 30.0)
    assert pace.seconds("b") == pytest.approx(100 * (30 + PRIOR_SECONDS) / (10 + PRIOR_SECONDS))
    assert pace.seconds("c") == 7


def test_cores_share_the_work_but_the_longest_job_has_to_end():
    pace = Pace({"a": 4}, {"a": 10.0}, cores=2)
    assert pace.eta() == 20
    assert pace.eta([("a", 4.0, None), ("a", 6.0, None)]) == pytest.approx((6 + 4 + 20) / 2)
    assert pace.eta([("a", 10.0, 300.0)]) == 300  # as its own log says


def test_without_a_number_of_cores_the_jobs_seen_at_once_count():
    pace = Pace({"a": 12}, {"a": 10.0})
    assert pace.eta([("a", 0.0, None)] * 6) == 20


def test_the_share_never_goes_back_and_is_whole_only_at_the_end():
    pace = Pace({"a": 2}, {"a": 1.0}, cores=1)
    before = pace.share([("a", 0.9, None)])
    assert pace.share([("a", 0.9, 1e6)]) == before
    pace.finished("a", 1e9)
    assert pace.share([("a", 1e12, None)]) == 0.99


def test_jobs_that_nobody_announced_are_counted():
    pace = Pace({}, {}, cores=1)
    pace.finished("late", 5.0)
    assert pace.counts["late"] == 1 and pace.share() == 1.0
