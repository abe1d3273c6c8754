"""Every artifact says what made it, wherever it keeps that."""

import json
import os
import re
import subprocess
import sys
import time

import pytest
from support import SCRIPTS

from waypoint.errors import WaypointError
from waypoint.store.artifacts import provenance
from waypoint.store.artifacts.provenance import MARKER, Provenance, marker_path, read_attributes
from waypoint.store.zarr.writer import create_store

SPEC = {"seed": 3, "versions": {"data": 1}, "data": {"source": "digits"}}


def test_attributes_say_what_made_an_artifact():
    made = Provenance("data", SPEC)(sha256="ab")
    assert set(made) == {"stage", "spec", "packages", "commit", "device", "seconds", "peak_memory_mb", "sha256"}
    assert made["stage"] == "data" and made["spec"] == SPEC and made["sha256"] == "ab"
    assert {"python", "numpy", "zarr", "torch", "diffusers"} <= set(made["packages"])
    assert made["packages"]["numpy"] == __import__("numpy").__version__
    assert made["device"] == "cpu" and made["peak_memory_mb"] > 10
    assert json.loads(json.dumps(made)) == made


def test_seconds_are_the_jobs_own():
    job = Provenance("data", SPEC)
    time.sleep(0.05)
    assert 0.05 <= job()["seconds"] < 5


def test_device_may_be_told_later():
    job = Provenance("train", SPEC)
    job.device = "NVIDIA H100"
    assert job()["device"] == "NVIDIA H100"


@pytest.fixture
def no_outer_git(monkeypatch):
    """A git hook that runs the tests sets GIT_DIR, which would lead every git command to the outer repository."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def checkout(tmp_path, monkeypatch, no_outer_git):
    """A repository with one commit, in which the library seems to lie; returns a function that runs git there."""
    (tmp_path / "provenance.py").write_text("# one\n")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]

    def git(*args):
        return subprocess.run(["git", *identity, *args], cwd=tmp_path, check=True, capture_output=True, text=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    return git


def test_commit_is_the_checkouts(checkout):
    commit = Provenance("data", SPEC)()["commit"]
    assert re.fullmatch("[0-9a-f]{40}", commit) and commit == checkout("rev-parse", "HEAD").stdout.strip()
    checkout("tag", "v1")
    assert Provenance("data", SPEC)()["commit"] == commit


def test_commit_shows_that_tracked_files_differ(checkout, tmp_path):
    commit = Provenance("data", SPEC)()["commit"]
    (tmp_path / "untracked").touch()
    assert Provenance("data", SPEC)()["commit"] == commit
    (tmp_path / "provenance.py").write_text("# two\n")
    assert Provenance("data", SPEC)()["commit"] == commit + "+"


def test_commit_is_none_outside_git(tmp_path, monkeypatch, no_outer_git):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert Provenance("data", SPEC)()["commit"] is None
    monkeypatch.setenv("PATH", "")
    assert Provenance("data", SPEC)()["commit"] is None


def test_attributes_are_read_from_a_store(tmp_path):
    with create_store(tmp_path / "a.zarr", lambda: {"spec": SPEC}):
        pass
    assert read_attributes(tmp_path / "a.zarr") == {"spec": SPEC}
    assert read_attributes(str(tmp_path / "a.zarr")) == {"spec": SPEC}


def test_attributes_are_read_from_a_folders_marker(tmp_path):
    folder = tmp_path / "full" / "0"
    folder.mkdir(parents=True)
    (folder / MARKER).write_text(json.dumps({"spec": SPEC}))
    assert marker_path(folder) == folder / "waypoint.json" and read_attributes(folder) == {"spec": SPEC}


def test_attributes_are_read_from_beside_a_file(tmp_path):
    table = tmp_path / "lds.csv"
    table.touch()
    assert read_attributes(table) is None
    (tmp_path / ".lds.csv.json").write_text(json.dumps({"spec": SPEC}))
    assert read_attributes(table) == {"spec": SPEC}


@pytest.mark.parametrize(
    "marker, path", [("a.zarr/zarr.json", "a.zarr"), ("0/waypoint.json", "0"), (".t.csv.json", "t.csv")]
)
def test_damaged_attributes_are_refused(tmp_path, marker, path):
    (tmp_path / marker).parent.mkdir(exist_ok=True)
    (tmp_path / marker).write_text('{"spec": {"se')
    if path == "t.csv":
        (tmp_path / path).touch()
    with pytest.raises(WaypointError, match=f"{tmp_path / marker} is damaged .* delete {tmp_path / path}"):
        read_attributes(tmp_path / path)


def test_attributes_of_a_deleted_file_do_not_count(tmp_path):
    (tmp_path / ".lds.csv.json").write_text("{}")
    assert read_attributes(tmp_path / "lds.csv") is None


@pytest.mark.parametrize("name", ["gone.zarr", "gone", "gone.csv", "file/below", "file/below.zarr"])
def test_what_is_absent_has_no_attributes(tmp_path, name):
    (tmp_path / "file").touch()
    assert read_attributes(tmp_path / name) is None


def test_an_empty_folder_has_no_attributes(tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "a.zarr").mkdir()
    assert read_attributes(tmp_path / "0") is None and read_attributes(tmp_path / "a.zarr") is None


def test_peak_memory_is_the_process_s_own_and_not_that_of_its_parent():
    code = "from waypoint.store.artifacts.provenance import peak_memory; print(peak_memory())"
    large = f"import subprocess, sys; held = bytearray(1 << 29); subprocess.run([sys.executable, '-c', {code!r}])"
    done = subprocess.run(
        [sys.executable, "-c", large], capture_output=True, text=True, env={"PYTHONPATH": str(SCRIPTS)}
    )
    assert 1 << 22 < int(done.stdout) < 1 << 28, done.stderr
