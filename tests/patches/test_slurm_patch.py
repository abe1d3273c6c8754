"""A status query of Slurm's that fails costs time, never jobs; with the plugin's own code and a squeue that breaks."""

import asyncio
import types

import pytest
from snakemake_executor_plugin_slurm import Executor
from support import SCRIPTS

from waypoint.errors import WaypointWarning
from waypoint.patches import lean_diffusers
from waypoint.patches.slurm import PACKAGE, WRITTEN_FOR, keep_unanswered_jobs


class Limiter:
    async def __aenter__(self):
        pass

    async def __aexit__(self, *error):
        pass


@pytest.fixture
def executor(monkeypatch):
    """The plugin's executor, patient, without a workflow: (it, what it was told, what it reported)."""
    patient = type("Patient", (Executor,), {"report_job_success": None, "report_job_error": None})
    told, reported = [], []
    patient.report_job_success = lambda self, job: reported.append(("done", job.external_jobid))
    patient.report_job_error = lambda self, job, msg=None, aux_logs=None: reported.append(
        ("failed", job.external_jobid)
    )
    keep_unanswered_jobs(patient)
    keep_unanswered_jobs(patient)  # a second time changes nothing
    made = patient.__new__(patient)
    settings = types.SimpleNamespace(status_attempts=2, init_seconds_before_status_checks=1, keep_successful_logs=True)
    made.workflow = types.SimpleNamespace(executor_settings=settings)
    silent = lambda text: None  # noqa: E731
    made.logger = types.SimpleNamespace(debug=silent, info=silent, warning=told.append)
    made.run_uuid, made.status_rate_limiter, made._status_query_cycle_rows = "run", Limiter(), []
    made._status_query_failures = made._status_query_calls = made._status_query_total_seconds = 0
    made._status_query_min_seconds, made._status_query_max_seconds = None, 0.0
    made._next_seconds_between_status_checks = None
    made.get_status_command = lambda: "squeue"
    monkeypatch.setattr("snakemake_executor_plugin_slurm.get_min_job_age", lambda: 3600)
    monkeypatch.setattr("snakemake_executor_plugin_slurm.Executor.next_seconds_between_status_checks", 1)
    return made, told, reported


def look(monkeypatch, executor, jobs, squeue):
    """One look at Slurm, whose squeue is a shell line: the jobs that are still active."""
    monkeypatch.setattr("snakemake_executor_plugin_slurm.query_job_status_squeue", lambda run: squeue)

    async def gather():
        return [job.external_jobid async for job in executor.check_active_jobs(jobs)]

    return asyncio.run(gather())


def jobs(*ids):
    return [types.SimpleNamespace(external_jobid=i, aux={"slurm_logfile": None}) for i in ids]


def test_another_version_of_the_plugin_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr("waypoint.patches.slurm.version", lambda package: "3.0.0")
    other = type("Other", (Executor,), {})
    with pytest.warns(WaypointWarning, match="slurm 3.0.0 is used as it is.*is for 2.8.0"):
        keep_unanswered_jobs(other)
    assert other.check_active_jobs is Executor.check_active_jobs and not hasattr(other, "_waypoint_answered")


def test_the_versions_are_those_that_are_pinned():
    pinned = (SCRIPTS.parent / "envs/constraints.txt").read_text().split()
    assert f"{PACKAGE}=={WRITTEN_FOR}" in pinned and f"diffusers=={lean_diffusers.WRITTEN_FOR}" in pinned
    assert "pytorch-fid==0.3.0" in pinned  # of patches/pytorch_fid.py


def test_a_failing_query_keeps_every_job_and_says_so(monkeypatch, executor):
    made, told, reported = executor
    assert look(monkeypatch, made, jobs("1", "2"), "false") == ["1", "2"]
    assert "1, 2" in told[-1] and "asked about again" in told[-1] and reported == []


def test_an_answer_is_taken_as_it_is(monkeypatch, executor):
    made, told, reported = executor
    squeue = r"printf '1|RUNNING\n2|COMPLETED\n3|CANCELLED\n'"
    assert look(monkeypatch, made, jobs("1", "2", "3", "4"), squeue) == ["1", "4"]  # 4 is not there yet
    assert reported == [("done", "2"), ("failed", "3")] and told == []


def test_after_a_failed_query_the_next_one_is_taken(monkeypatch, executor):
    made, told, reported = executor
    active = jobs("1", "2")
    look(monkeypatch, made, active, "false")
    assert look(monkeypatch, made, active, r"printf '1|RUNNING\n2|COMPLETED\n'") == ["1"]
    assert reported == [("done", "2")] and len(told) == 1
