"""The handler, told made-up events of a run."""

import io
import logging
import re

import pytest
from snakemake.settings.enums import Quietness
from snakemake.settings.types import OutputSettings
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.tests import TestLogHandlerBase

from waypoint.workflow.terminal.handler import LogHandler

START = 1e9


class Run:
    """A run whose clock stands still between events."""

    def __init__(self, monkeypatch, tmp_path, terminal=False, **settings):
        self.stream = io.StringIO()
        self.stream.isatty = lambda: terminal
        monkeypatch.setattr("sys.stderr", self.stream)
        monkeypatch.setattr("sys.stdout", self.stream)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "100")
        self.folder, self.at = tmp_path, START
        self.handler = LogHandler(OutputSettings(**settings), None)
        self.handler.expect = lambda counts: ({rule: 10.0 for rule in counts}, ())

    def tell(self, message="", event=None, level=logging.INFO, **extra):
        record = logging.LogRecord("snakemake", level, "", 0, message, (), None)
        record.created = self.at
        record.__dict__.update(extra)
        if event is not None:
            record.event = event
        self.handler.handle(record)

    def plan(self, **counts):
        self.tell("Provided cores: 2", LogEvent.RESOURCES_INFO, cores=2)
        self.tell("Job stats: …", LogEvent.RUN_INFO, stats={**counts, "all": 1, "total": sum(counts.values()) + 1})

    def start(self, number, rule, log=None, **wildcards):
        said = dict(jobid=number, rule_name=rule, wildcards=wildcards, output=["x"], log=[log] if log else [])
        self.tell("Rule", LogEvent.JOB_INFO, **said)
        self.tell("Shell command: set -euo {json}", LogEvent.SHELLCMD)

    def finish(self, number, seconds=0.0):
        self.at += seconds
        self.tell("Finished jobid", LogEvent.JOB_FINISHED, job_id=number)
        self.tell("", LogEvent.PROGRESS, done=1, total=2)

    def fail(self, number, rule, log=None, status="returned non-zero exit status 1"):
        said = dict(jobid=number, rule_name=rule, log=[log] if log else [], shellcmd="python --spec '{}'")
        self.tell(f"Error in rule {rule}", LogEvent.JOB_ERROR, logging.ERROR, **said)
        self.tell(
            f"RuleException:\nCalledProcessError in file x:\nCommand '…' {status}.", LogEvent.ERROR, logging.ERROR
        )

    def log(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def end(self, failed=False):
        if failed:
            self.tell("Exiting because a job execution failed. Look below for error messages", level=logging.ERROR)
            self.tell("Complete log(s): x")
            self.tell("WorkflowError:\nAt least one job did not complete successfully.", LogEvent.ERROR, logging.ERROR)
        self.handler.close()
        self.handler.close()  # as Snakemake does
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.stream.getvalue())


@pytest.fixture
def run(monkeypatch, tmp_path):
    return lambda **settings: Run(monkeypatch, tmp_path, **settings)


def test_a_line_a_job_with_rule_item_and_seconds(run):
    run = run()
    run.plan(train=2)
    run.start(1, "train", checkpoint="full/0")
    run.start(2, "train", checkpoint="full/1")
    run.finish(1, 30)
    run.finish(2)
    assert run.end().splitlines() == [
        "2 jobs to run on 2 cores, less than a minute left",
        " 99 %  train full/0                                    30 s   less than a minute left",
        "100 %  train full/1                                    30 s",
        "2 jobs in 30 s",
    ]


def test_snakemakes_own_lines_are_left_out_and_others_are_not(run):
    run = run()
    for line in (
        "Building DAG of jobs...",
        "Using shell: /bin/bash",
        "Select jobs to execute...",
        "Unlocked working directory.",
    ):
        run.tell(line)
    run.tell("a warning", level=logging.WARNING)
    run.tell("a warning", level=logging.WARNING)
    assert run.end() == "Unlocked working directory.\na warning\n"


def test_a_warning_of_many_jobs_is_said_once(run):
    run = run()
    run.plan(train=2)
    for number in (1, 2):
        run.start(number, "train", log=run.log(f"{number}.log", "Waypoint: warning: few epochs\n"), checkpoint="x")
        run.finish(number, 1)
    assert run.end().count("Waypoint: warning: few epochs") == 1


def test_the_sentence_of_a_failed_job_is_last_and_alone(run):
    run = run()
    run.plan(train=3)
    log = run.log("job.log", "progress 1/2 epochs rate=1/s eta=1s\nTraceback …\nWaypoint: loss is nan in epoch 1\n")
    run.start(1, "train", log, checkpoint="full/0")
    run.at += 12
    run.fail(1, "train", log)
    lines = run.end(failed=True).splitlines()
    assert lines[1:] == [f"train full/0 failed after 12 s. Log: {log}", "", "Waypoint: loss is nan in epoch 1"]


def test_a_killed_job_is_said_to_be_killed(run):
    run = run()
    run.plan(train=1)
    run.start(1, "train", "gone.log", checkpoint="full/0")
    run.fail(1, "train", "gone.log", "died with <Signals.SIGKILL: 9>")
    last = run.end(failed=True).splitlines()[-1]
    assert (
        last.startswith("Waypoint: train full/0 ended without an error message. It was killed") and "gone.log" in last
    )


def test_a_job_that_is_tried_again_and_succeeds_has_not_failed(run):
    run = run()
    run.plan(train=1)
    run.start(1, "train", checkpoint="full/0")
    run.fail(1, "train")
    run.tell("Trying to restart job 1.")
    run.start(1, "train", checkpoint="full/0")
    run.finish(1, 5)
    assert "Waypoint" not in run.end() and "failed" not in run.end()


def test_who_stops_a_run_reads_that_it_goes_on(run):
    run = run()
    run.plan(train=2)
    run.start(1, "train", checkpoint="full/0")
    run.fail(1, "train", status="died with <Signals.SIGINT: 2>")
    run.tell("Terminating processes on user request, this might take some time.")
    said = run.end(failed=True)
    assert said.splitlines()[-1] == "Waypoint: stopped after 0 jobs. Run the same command to continue"
    assert "ended without" not in said


def test_a_dry_run_is_a_table_and_no_paths(run):
    run = run(dryrun=True, stdout=True)
    run.plan(train=2, score_trak=1)
    run.start(1, "train", checkpoint="full/0")
    run.plan(train=2, score_trak=1)
    run.tell("This was a dry-run (flag -n). The order of jobs does not reflect the order of execution.")
    said = run.end()
    assert said.count("train") == 1 and re.search(r"^total +3$", said, re.M) and "all" not in said.split("total")[0]
    assert said.endswith("This was a dry run: nothing was made.\n")


def test_quiet_leaves_warnings_and_failures_and_quiet_about_everything_failures(run):
    for kinds, warned in (({Quietness.RULES, Quietness.PROGRESS}, 1), ({Quietness.ALL}, 0)):
        told = run(quiet=kinds)
        told.plan(train=2)
        told.start(1, "train", told.log("a.log", "Waypoint: warning: odd\n"), checkpoint="full/0")
        told.finish(1, 1)
        told.tell("WorkflowError:\nWaypoint: no", LogEvent.ERROR, logging.ERROR)
        said = told.end()
        assert said.count("odd") == warned and said.endswith("Waypoint: no\n") and "full/0" not in said


def test_a_terminal_shows_long_jobs_below_the_lines_and_clears_them(run, monkeypatch):
    run = run(terminal=True)
    monkeypatch.setattr("time.time", lambda: run.at)
    run.plan(train=2)
    run.start(1, "train", run.log("a.log", "progress 3/9 epochs rate=1/s eta=600s\n"), checkpoint="full/0")
    run.at += 5
    below = run.handler._below().plain.splitlines()
    assert "0 of 2 jobs, about 10 min left" in below[0] and below[1].split() == "train full/0 5 s 3/9 epochs".split()
    run.finish(1, 1)
    said = run.end()
    assert re.search(r" %  train full/0 +6 s\n", said) and not run.handler.live.is_started


def test_without_a_terminal_a_long_job_is_named_at_growing_intervals(run):
    run = run()
    run.plan(train=2)
    run.start(1, "train", run.log("a.log", "progress 3/9 epochs rate=1/s eta=600s\n"), checkpoint="full/0")
    run.start(2, "train", checkpoint="full/1")
    lines = {after: run.handler.reports(START + after) for after in (59, 60, 119, 120, 239, 240)}
    assert [len(lines[after]) for after in lines] == [0, 2, 0, 2, 0, 2]
    assert lines[120][0].split() == "train full/0 2 min 00 s 3/9 epochs".split()
    assert lines[240][1].split() == "train full/1 4 min 00 s about 10 min left".split()  # of all jobs
    run.end()
    assert run.handler.closed.is_set()


def test_that_running_jobs_are_waited_for_is_said_once(run):
    run = run()
    for _ in range(3):
        run.tell("Will exit after finishing currently running jobs (scheduler).")
    assert run.end() == "Will exit after finishing currently running jobs (scheduler).\n"


def test_a_mistake_in_the_display_ends_no_run(run, monkeypatch):
    run = run()
    run.handler.expect = lambda counts: 1 / 0
    run.plan(train=2)
    for number in (1, 2):
        run.start(number, "train", checkpoint=f"full/{number}")
        run.finish(number, 1)
    said = run.end()
    assert "ZeroDivisionError" in said and "50 %  train full/1" in said and "2 jobs in 2 s" not in said.splitlines()[0]


def test_many_running_jobs_are_counted(run):
    run = run(terminal=True)
    run.plan(train=30)
    for number in range(30):
        run.start(number, "train", checkpoint=f"full/{number}")
    below = run.handler._below().plain.splitlines()
    run.end()
    assert len(below) == 1 + 8 + 1 and below[-1].strip() == "and 22 more"


class TestInterface(TestLogHandlerBase):
    """Snakemake's own checks of a logger plugin."""

    __test__ = True

    def get_log_handler_cls(self):
        return LogHandler

    def get_log_handler_settings(self):
        return None
