"""A small experiment through `--profile slurm` on a real Slurm: one job cancelled and one too large on the way.

The run is made once, beside one on this machine alone; `make test-slurm` installs Slurm first.
"""

import copy
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
import zarr
from slurm_cluster import Cluster
from workspace import CONFIG, REPOSITORY, Workspace

pytestmark = pytest.mark.slurm

MINUTES = 12


@pytest.fixture(scope="module")
def cluster():
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as folder, Cluster(folder) as started:
        yield started


@pytest.fixture(scope="module")
def finished(cluster, tmp_path_factory):
    """The working directory after the run; its output and Slurm's jobs are attributes."""
    workspace = Workspace(tmp_path_factory.mktemp("slurm") / "work", copy.deepcopy(CONFIG))
    process = submit(workspace, cluster)
    workspace.cancelled = cancel_one(cluster, "rule_train")
    workspace.output, _ = process.communicate(timeout=MINUTES * 60)
    workspace.jobs = cluster.jobs()
    assert process.returncode == 0, workspace.output
    return workspace


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same experiment on this machine alone."""
    workspace = Workspace(tmp_path_factory.mktemp("alone") / "work", copy.deepcopy(CONFIG), warm=True)
    done = workspace.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace


def submit(workspace, cluster):
    """A run of Snakemake on the cluster, as a process."""
    (workspace.folder / "experiment.yaml").write_text(yaml.safe_dump(workspace.config, sort_keys=False))
    # as the project ships it, but for a faster pace and too little memory for one rule's first attempt
    profile = yaml.safe_load((REPOSITORY / "slurm/config.yaml").read_text())
    profile |= {"latency-wait": 5, "slurm-init-seconds-before-status-checks": 8}
    featurize = {**profile["set-resources"]["featurize"], "mem_mb": "400 if attempt == 1 else 4000"}  # torch needs more
    profile["set-resources"]["featurize"] = featurize
    (workspace.folder / "slurm").mkdir(exist_ok=True)
    (workspace.folder / "slurm/config.yaml").write_text(yaml.safe_dump(profile))
    command = [sys.executable, "-m", "snakemake", "-s", str(REPOSITORY / "Snakefile"), "--profile", "slurm"]
    command += ["--configfile", "experiment.yaml"]
    path = f"{Path(sys.executable).parent}:{cluster.environment['PATH']}"
    return subprocess.Popen(
        command,
        cwd=workspace.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**cluster.environment, "PATH": path},
    )


def cancel_one(cluster, comment):
    """Cancel the first job of a rule that runs; its id."""
    end = time.monotonic() + MINUTES * 60
    while time.monotonic() < end:
        for job in cluster.jobs():
            if job["comment"].startswith(comment) and job["state"] == "RUNNING":
                cluster.ask("scancel", job["id"])
                return job["id"]
        time.sleep(0.3)
    raise AssertionError(f"no job {comment} ran: {cluster.jobs()}")


def of(workspace, rule):
    """Slurm's jobs of a rule."""
    return [job for job in workspace.jobs if re.match(rf"rule_{rule}(_wildcards|$)", job["comment"])]


def test_jobs_go_through_sbatch_with_their_resources(finished):
    trained = of(finished, "train")
    assert {job["partition"] for job in trained} == {"gpu"} and {job["gpus"] for job in trained} == {"gres:gpu:1"}
    assert {job["limit"] for job in trained if job["memory"] == "16000M"} == {"04:00:00"}
    for rule in ("featurize", "sample_trajectory", "target_gradients"):
        assert of(finished, rule) and all(job["partition"] == "gpu" for job in of(finished, rule)), rule
    for rule in ("prepare_data", "factor_kernel"):
        jobs = of(finished, rule)
        assert jobs and all(job["partition"] == "cpu" and not job["gpus"] for job in jobs), rule
    assert {job["limit"] for job in of(finished, "prepare_data")} == {"01:00:00"}


def test_small_jobs_share_submissions(finished):
    groups = [job for job in finished.jobs if re.match("rule_(scoring|panels|reports)_", job["comment"])]
    assert (
        len(list(finished.store.glob("figures/*/*.png"))) == 7
        and len(list(finished.store.glob("scores/*/*.zarr"))) == 6
    )
    assert len(groups) == 3 and all(job["partition"] == "cpu" and not job["gpus"] for job in groups)
    assert not of(finished, "score_trak") and not of(finished, "trajectory_panel")


def test_a_cancelled_job_comes_again_with_more(finished):
    first = next(job for job in finished.jobs if job["id"] == finished.cancelled)
    again = [job for job in of(finished, "train") if job["memory"] == "32000M"]
    assert first["state"] == "CANCELLED" and first["memory"] == "16000M"
    assert [(job["state"], job["limit"]) for job in again] == [("COMPLETED", "08:00:00")]


def test_a_job_killed_for_its_memory_comes_again_with_more(finished):
    states = [(job["memory"], job["state"]) for job in of(finished, "featurize")]
    killed = [state for memory, state in states if memory == "400M"]
    assert len(killed) == 2 and set(killed) <= {"FAILED", "OUT_OF_MEMORY"}
    assert [memory for memory, state in states if state == "COMPLETED"] == ["4000M"] * 2


def test_results_equal_those_of_one_machine(finished, alone):
    stores = sorted(path.relative_to(alone.store) for path in alone.store.rglob("*.zarr"))
    assert len(stores) >= 13 and stores == sorted(p.relative_to(finished.store) for p in finished.store.rglob("*.zarr"))
    for store in stores:
        here, there = (zarr.open_group(root / store, mode="r") for root in (alone.store, finished.store))
        for name, array in here.arrays():
            assert np.array_equal(array[...], there[name][...]), (store, name)
    table = "tables/top_influences.csv"
    assert (finished.store / table).read_text() == (alone.store / table).read_text()


def test_a_second_run_submits_nothing(finished, cluster):
    before = len(cluster.jobs())
    output, _ = submit(finished, cluster).communicate(timeout=MINUTES * 60)
    assert "Nothing to be done" in output and len(cluster.jobs()) == before
