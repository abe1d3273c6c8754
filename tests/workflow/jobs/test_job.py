"""Behaviour that all scripts share: one clear message on failure, progress lines, CPU times."""

import contextlib
import errno
import json
import re
import sys
from pathlib import Path

import pytest

from waypoint.errors import WaypointError
from waypoint.workflow.jobs.job import _fail, run

SPEC = {"seed": 0, "featurize": {"version": 1, "a": {"b": 1}}}


def script(monkeypatch, tmp_path, main):
    log = tmp_path / "job.log"
    monkeypatch.setattr(
        sys,
        "argv",
        [
            "script",
            "--spec",
            json.dumps({"stage": "featurize", "spec": SPEC, "identity": "i"}),
            "--log",
            str(log),
            "--out",
            "x",
        ],
    )
    run(main, ["out", "mask?", "inputs?"])
    return log.read_text()


@pytest.mark.parametrize(
    "error,message",
    [
        (WaypointError("kernel.damping: too small"), "Waypoint: kernel.damping: too small"),
        (MemoryError(), "out of memory in featurize"),
        (
            OSError(errno.ENOSPC, "No space left on device", "x"),
            "featurize: the disk is full; nothing was left half written",
        ),
        (Exception("I/O error: No space left on device (os error 28)"), "featurize: the disk is full"),
        (OSError(errno.EACCES, "Permission denied", "x"), "Permission denied"),
        (ZeroDivisionError("division by zero"), "featurize failed unexpectedly"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_failures_are_one_message_in_the_log_and_on_the_terminal(monkeypatch, tmp_path, capsys, error, message):
    def main(job):
        raise error

    with pytest.raises(SystemExit) as stopped:
        script(monkeypatch, tmp_path, main)
    shown = capsys.readouterr().err
    assert stopped.value.code == 1
    assert message in shown and message in (tmp_path / "job.log").read_text()
    assert "Traceback" not in shown or isinstance(error, ZeroDivisionError)


def test_a_full_disk_is_told_whatever_torch_makes_of_it(monkeypatch, tmp_path, capsys):
    def main(job):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")

    with pytest.raises(SystemExit):
        script(monkeypatch, tmp_path, main)
    shown = capsys.readouterr().err
    assert "featurize: the disk is full" in shown and "unexpected" not in shown


def test_a_log_on_a_full_disk_does_not_hide_the_message(capsys):
    full = open("/dev/full", "w")
    with pytest.raises(SystemExit):
        _fail(full, "Waypoint: featurize: the disk is full")
    assert "the disk is full" in capsys.readouterr().err
    with contextlib.suppress(OSError):
        full.close()


def test_log_tells_progress_and_cpu_times(monkeypatch, tmp_path):
    text = script(monkeypatch, tmp_path, lambda job: job.progress(4, 4, "epochs", "loss=0.1"))
    assert "progress 4/4 epochs rate=" in text and "eta=0s loss=0.1" in text
    assert "cpu startup=" in text and "work=" in text


def test_optional_arguments_may_be_absent(monkeypatch, tmp_path):
    seen = {}
    script(monkeypatch, tmp_path, lambda job: seen.update(vars(job.args), spec=job.spec))
    assert seen["mask"] is None and seen["out"] == "x" and seen["spec"] == SPEC


def test_scripts_leave_the_checks_of_artifacts_to_the_functions_that_open_them():
    checks = {"require_agreement", "require_own_images", "require_rows"}
    folder = Path(__file__).parents[3] / "workflow_scripts"
    scripts = [path for path in folder.rglob("*.py") if "waypoint" not in path.relative_to(folder).parts]
    named = {path.name: checks & set(re.findall(r"\w+", path.read_text())) for path in scripts}
    assert len(named) > 50 and not {name: found for name, found in named.items() if found}
