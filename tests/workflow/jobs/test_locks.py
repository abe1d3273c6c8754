"""Locks in shared folders: somebody else's file is no obstacle, somebody else's folder one clear sentence."""

import fcntl
import os

import pytest

from waypoint.errors import WaypointError
from waypoint.workflow.jobs import locks
from waypoint.workflow.jobs.job import open_log
from waypoint.workflow.jobs.locks import made_lock
from waypoint.workflow.jobs.resuming import sole_owner


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """A lock that can only be read, whoever runs the tests."""
    folder = tmp_path / "resume/full/0"
    folder.mkdir(parents=True)
    (folder / "lock").write_text("")
    real = os.open

    def opened(path, flags, mode=0o777):
        if flags & (os.O_RDWR | os.O_WRONLY):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, mode)

    monkeypatch.setattr(locks.os, "open", opened)
    return folder


def test_a_lock_that_can_only_be_read_still_locks(theirs):
    with sole_owner(theirs):
        with open(theirs / "lock") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(WaypointError, match="another process is training this model"), sole_owner(theirs):
            pass
    with sole_owner(theirs):
        pass


def test_a_lock_in_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(locks.os, "access", lambda folder, mode: False)
    with pytest.raises(WaypointError, match="resume cannot be written.*store of your own") as refused:
        made_lock(tmp_path / "resume")
    assert "\n" not in str(refused.value)


def test_a_lock_that_cannot_even_be_read_is_one_sentence(theirs, monkeypatch):
    def closed(path, flags, mode=0o777):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(locks.os, "open", closed)
    with pytest.raises(WaypointError, match="lock cannot be written"), sole_owner(theirs):
        pass


def test_a_log_of_somebody_else_gives_way(tmp_path, monkeypatch):
    path, real, tries = tmp_path / "x.log", open, []
    path.write_text("theirs")

    def once_closed(*args, **named):
        tries.append(args)
        if len(tries) == 1:
            raise PermissionError(13, "Permission denied")
        return real(*args, **named)

    monkeypatch.setattr("builtins.open", once_closed)
    with open_log(path) as log:
        log.write("mine")
    assert path.read_text() == "mine"


def test_a_log_that_has_no_place_ends_the_job_in_words(tmp_path, capsys):
    (tmp_path / "logs").write_text("")
    with pytest.raises(SystemExit):
        open_log(tmp_path / "logs/x.log")
    assert "x.log cannot be written (Not a directory)" in capsys.readouterr().err
