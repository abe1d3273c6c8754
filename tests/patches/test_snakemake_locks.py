"""Locks of two runs in one working directory."""

import os

import pytest
from snakemake.persistence.file import FilePersistence

from waypoint.patches.snakemake_locks import keep_the_locks_of_others


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that makes the locks of one more run."""
    for name in ("_read_locks", "_write_locks", "_delete_locks", "cleanup_locks"):
        monkeypatch.setattr(FilePersistence, name, getattr(FilePersistence, name))  # restored afterwards
    keep_the_locks_of_others()

    def start():
        found = object.__new__(FilePersistence)
        found._lockdir, found._lockfile = str(tmp_path / "locks"), {}
        os.makedirs(found._lockdir, exist_ok=True)
        return found

    return start


def locked(run):
    return sorted(run._read_locks())


def test_a_run_that_ends_keeps_the_locks_of_others(run):
    first, second = run(), run()
    first._write_locks("output", ["a", "b"])
    second._write_locks("input", ["c"])
    second._write_locks("output", ["d"])
    everything = [("input", "c"), ("output", "a"), ("output", "b"), ("output", "d")]
    assert locked(first) == locked(second) == everything
    first._delete_locks()
    assert locked(second) == [("input", "c"), ("output", "d")]
    second._delete_locks()
    assert locked(first) == []


def test_a_run_starts_though_the_folder_has_gone(run):
    starting = run()
    os.rmdir(starting._lockdir)
    assert locked(starting) == []
    starting._write_locks("input", ["a"])
    assert locked(starting) == [("input", "a")]


def test_two_runs_never_take_one_lock(run):
    runs = [run() for _ in range(20)]
    for k, each in enumerate(runs):
        each._write_locks("output", [str(k)])
    assert len({each._lockfile["output"] for each in runs}) == 20
    assert locked(runs[0]) == sorted(("output", str(k)) for k in range(20))


def test_unlock_removes_all_locks(run):
    run()._write_locks("output", ["a"])
    after = run()
    after.cleanup_locks()
    assert locked(after) == []
    after._write_locks("output", ["b"])
    assert locked(after) == [("output", "b")]
