"""A GPU of its own for every job, with pretended GPUs: torch is told about them, the locks are real."""

import os
import subprocess
import sys
import types

import pytest
import torch
from support import SCRIPTS, asked

from waypoint.workflow.jobs import devices
from waypoint.workflow.jobs.job import Job

JOB = """
import sys, time
from waypoint.workflow.jobs.devices import own_gpu
index = own_gpu(sys.argv[2].split(","), lambda text: print("told", text, flush=True), sys.argv[1], wait=0.02)
print("begins", index, time.monotonic(), flush=True)
time.sleep(float(sys.argv[3]))
print("ends", index, time.monotonic(), flush=True)
"""


def job(folder, names, seconds=0.3):
    """A process that takes a pretended GPU and keeps it for some seconds."""
    command = [sys.executable, "-c", JOB, str(folder), ",".join(names), str(seconds)]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def spans(jobs):
    """[(GPU, begin, end)] of finished jobs."""
    found = []
    for process in jobs:
        lines = [line.split() for line in process.communicate()[0].splitlines() if not line.startswith("told")]
        (_, index, begin), (_, _, end) = lines
        found.append((int(index), float(begin), float(end)))
    return found


@pytest.fixture(autouse=True)
def nothing_held(monkeypatch):
    monkeypatch.setattr(devices, "_locks", {})


def test_more_jobs_than_gpus_never_share_one_and_use_them_all(tmp_path):
    found = spans([job(tmp_path, ["a", "b"]) for _ in range(6)])
    assert {index for index, _, _ in found} == {0, 1}
    for gpu in (0, 1):
        turns = sorted((begin, end) for index, begin, end in found if index == gpu)
        assert all(end <= begin for (_, end), (begin, _) in zip(turns, turns[1:]))


def test_a_gpu_is_known_by_its_name_in_whatever_order_jobs_see_them(tmp_path):
    first = job(tmp_path, ["a", "b"], 5)
    assert first.stdout.readline().split()[:2] == ["begins", "0"]
    (index, _, _) = spans([job(tmp_path, ["b", "a"], 0)])[0]
    assert index == 0  # b: a has the first job
    first.kill()


def test_a_killed_jobs_gpu_is_free_again(tmp_path):
    first = job(tmp_path, ["a"], 60)
    first.stdout.readline()
    second = job(tmp_path, ["a"], 0)
    assert "all 1 GPUs have a job" in second.stdout.readline()
    first.kill()
    assert spans([second])[0][0] == 0


def test_a_job_keeps_its_gpu_and_pins_torch_to_it(monkeypatch, tmp_path):
    taken = job(tmp_path, ["0"], 60)
    taken.stdout.readline()
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(devices.getpass, "getuser", lambda: "me")
    (tmp_path / "waypoint-gpus-me").symlink_to(tmp_path)
    pinned = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    seen = lambda index: types.SimpleNamespace(uuid=index, name=f"pretended {index}")  # noqa: E731
    monkeypatch.setattr(torch.cuda, "get_device_properties", seen)
    monkeypatch.setattr(torch.cuda, "set_device", pinned.append)
    job_of = Job(types.SimpleNamespace(spec=asked("featurize", {})), sys.stderr)
    assert [job_of.device(), job_of.device()] == [torch.device("cuda", 1)] * 2
    assert pinned == [1, 1] and job_of.provenance()["device"] == "pretended 1"
    taken.kill()
