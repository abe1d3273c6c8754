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

SPEC = {"seed": 3, "prepare_data": {"version": 1, "data": {"source": "digits"}}}
MADE = ("prepare_data", SPEC, "identity")


def test_attributes_say_what_made_an_artifact():
    made = Provenance(*MADE)(sha256="ab")
    run = {"packages", "commit", "device", "seconds", "peak_memory_mb"}
    assert set(made) == {"stage", "spec", "identity", "reads", "sha256"} | run
    assert made["stage"] == "prepare_data" and made["spec"] == SPEC and made["sha256"] == "ab"
    assert made["identity"] == "identity" and made["reads"] == {}
    assert {"python", "numpy", "zarr", "torch", "diffusers"} <= set(made["packages"])
    assert made["packages"]["numpy"] == __import__("numpy").__version__
    assert made["device"] == "cpu" and made["peak_memory_mb"] > 10
    assert json.loads(json.dumps(made)) == made


def test_seconds_are_the_jobs_own():
    job = Provenance(*MADE)
    time.sleep(0.05)
    assert 0.05 <= job()["seconds"] < 5


def test_device_may_be_told_later():
    job = Provenance("train", SPEC, "identity")
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
    commit = Provenance(*MADE)()["commit"]
    assert re.fullmatch("[0-9a-f]{40}", commit) and commit == checkout("rev-parse", "HEAD").stdout.strip()
    checkout("tag", "v1")
    assert Provenance(*MADE)()["commit"] == commit


def test_commit_shows_that_tracked_files_differ(checkout, tmp_path):
    commit = Provenance(*MADE)()["commit"]
    (tmp_path / "untracked").touch()
    assert Provenance(*MADE)()["commit"] == commit
    (tmp_path / "provenance.py").write_text("# two\n")
    assert Provenance(*MADE)()["commit"] == commit + "+"


def test_commit_is_none_outside_git(tmp_path, monkeypatch, no_outer_git):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert Provenance(*MADE)()["commit"] is None
    monkeypatch.setenv("PATH", "")
    assert Provenance(*MADE)()["commit"] is None


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


@pytest.mark.parametrize("name", ["trak_a_t400_n0.1", "random_0_n1e-05"])
def test_a_share_in_a_models_name_is_no_file_ending(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    (folder / MARKER).write_text(json.dumps({"spec": SPEC}))
    assert marker_path(folder) == folder / "waypoint.json" and read_attributes(folder) == {"spec": SPEC}


def test_an_artifact_of_the_earlier_form_is_refused_with_what_to_do(tmp_path):
    (tmp_path / MARKER).write_text(json.dumps({"spec": {"seed": 3, "versions": {"data": 1}}}))
    with pytest.raises(WaypointError, match="made by an earlier version of Waypoint. `make adopt"):
        read_attributes(tmp_path)


def test_what_was_read_is_recorded_by_its_hash_or_by_what_it_was_made_from():
    job = Provenance(*MADE)
    job.has_read("data/train.zarr", {"sha256": "images"})
    job.has_read("checkpoints/full/0", {"files": {}, "weights": "weights", "reads": {"data/train.zarr": "images"}})
    job.has_read("features/plain/full/1.zarr", {"weights": "others", "reads": {"checkpoints/full/1": "others"}})
    wanted = {"checkpoints/full/0": "weights", "checkpoints/full/1": "others", "data/train.zarr": "images"}
    assert job()["reads"] == wanted


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
