"""Whole runs as people see them, through pipes and on a terminal."""

import copy
import os
import pty
import re
import subprocess
import sys

import pytest
from workspace import CONFIG, REPOSITORY, Workspace

ENOUGH = {"methods": ["random"], "figures": {}, "targets": CONFIG["targets"][:1], "checkpoints": {"count": 1}}


@pytest.fixture
def seen(tmp_path, monkeypatch):
    """A small experiment, shown as people see it."""
    monkeypatch.delenv("WAYPOINT_LOGGER")
    return Workspace(tmp_path / "seen", copy.deepcopy({**CONFIG, **ENOUGH}), warm=True)


def test_a_run_is_a_line_a_job_and_ends_by_saying_done(seen):
    dry = seen.snakemake("-n")
    assert dry.returncode == 0 and "store/" not in dry.stdout
    planned = dict(re.findall(r"^(\w+) +(\d+)$", dry.stdout, re.M))
    assert planned["train"] == "1" and "all" not in planned
    total = int(planned.pop("total"))
    assert total == sum(map(int, planned.values()))

    part = seen.snakemake("store/tiny/data/train.zarr")
    assert part.returncode == 0 and "Done. What was asked for is in store/tiny/" in part.stdout

    done = seen.snakemake()
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert re.fullmatch(rf"{total - 1} jobs to run on 1 core, (about|less) .* left", lines[0])
    ended = [
        re.fullmatch(r" *(\d+) %  (\w+)( \S+)* +[\d a-z]+ s(   (about|less) .* left)?", line) for line in lines[1:-1]
    ]
    ended = [line for line in ended if line]
    assert len(ended) == total - 1
    assert [int(line[1]) for line in ended] == sorted(int(line[1]) for line in ended) and ended[-1][1] == "100"
    assert {line[2] for line in ended} == planned.keys() - {"prepare_data"}
    assert re.fullmatch(rf"{total - 1} jobs in .*", lines[-1])
    assert "Done. Everything is in store/tiny/" in done.stdout
    assert "Shell" not in done.stderr and "python" not in done.stderr and "jobid" not in done.stderr

    again = seen.snakemake()
    assert again.stderr.strip().startswith("Nothing to be done") and "Done" not in again.stdout


def test_a_failed_run_ends_with_the_sentence_alone(seen):
    failing = seen.changed(training={**CONFIG["training"], "learning_rate": 1e30})
    done = failing.snakemake()
    assert done.returncode == 1 and "Done" not in done.stdout
    *_, failed, empty, last = done.stderr.splitlines()
    assert failed.startswith("train full/0 failed after") and failed.endswith("Log: store/tiny/logs/train/full/0.log")
    assert empty == "" and last.startswith("Waypoint: training full/0: loss is nan") and "--spec" not in done.stderr
    assert done.stderr.count("loss is nan") == 1


def test_a_wrong_key_is_one_sentence(seen):
    done = seen.changed(projection={"dimm": 4}).snakemake("-n")
    assert done.returncode == 1
    assert (done.stdout + done.stderr).strip() == "Waypoint: config: unknown key 'projection.dimm'; did you mean 'dim'?"


@pytest.mark.parametrize("option", ["-p", "--verbose"])
def test_who_asks_for_more_gets_snakemakes_own_output(seen, option):
    done = seen.snakemake("-n", option, "store/tiny/data/train.zarr")
    assert "rule prepare_data:" in done.stdout + done.stderr


def test_another_logger_stays(seen):
    done = seen.snakemake("-n", "--logger", "rich")
    assert done.returncode == 0 and "This was a dry-run" in done.stdout + done.stderr


def test_a_workflow_that_includes_waypoint_keeps_its_own_output(seen):
    place = REPOSITORY / "Snakefile"
    seen.folder.joinpath("Snakefile").write_text(
        f'module waypoint:\n    snakefile: "{place}"\n    config: config\nuse rule * from waypoint\n'
    )
    done = seen.snakemake("-n", "-s", "Snakefile", "store/tiny/data/train.zarr")
    assert done.returncode == 0 and "rule prepare_data:" in done.stdout + done.stderr


def test_on_a_terminal_the_lower_lines_give_way_to_the_last_words(seen):
    seen.snakemake("-n")  # writes the configuration
    command = [sys.executable, "-m", "snakemake", "-s", str(REPOSITORY / "Snakefile")]
    command += ["--configfile", "experiment.yaml", "--cores", "1", "store/tiny/data/train.zarr"]
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PATH": path, "TERM": "xterm", "COLUMNS": "100"}
    run = subprocess.Popen(command, cwd=seen.folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    while True:
        try:
            said += os.read(ours, 65536)
        except OSError:  # its end
            break
    os.close(ours)
    text = said.decode()
    assert run.wait() == 0, text
    assert "0 of 1 job, " in text and "\x1b[?25l" in text  # the cursor is hidden below
    assert text.rindex("\x1b[?25h") < text.index("Done.") and "\x1b" not in text[text.index("Done.") :]
    assert re.search(r"100 %  prepare_data +\d+ s", text)
