"""Keep Slurm jobs whose status query failed, which Snakemake's plugin would forget, and query them again.

The plugin returns the jobs that are still running. When all queries of one check fail, for example because slurmctld
restarts, it returns none; the jobs then count neither as running nor as finished, and Snakemake waits silently forever.

Written for snakemake-executor-plugin-slurm 2.8.0; any other version is left unchanged, with a warning.
"""

import warnings
from importlib.metadata import version

from waypoint.errors import WaypointWarning

PACKAGE, WRITTEN_FOR = "snakemake-executor-plugin-slurm", "2.8.0"


def keep_unanswered_jobs(executor):
    """Make an executor class keep, and log, every job whose status no query returned.

    Args:
        executor: the plugin's class ``Executor``, patched in place at most once. Another version's is left unchanged,
            with a ``WaypointWarning``.
    """
    if version(PACKAGE) != WRITTEN_FOR:
        warnings.warn(
            f"{PACKAGE} {version(PACKAGE)} is used as it is; Waypoint's patch against a lost status query, after which "
            f"a run waits for ever, is for {WRITTEN_FOR}",
            WaypointWarning,
            stacklevel=2,
        )
        return
    if hasattr(executor, "_waypoint_answered"):
        return
    original = executor.check_active_jobs
    executor._waypoint_answered = None
    for name in ("report_job_success", "report_job_error"):
        setattr(executor, name, _record_answer(getattr(executor, name)))

    async def check_active_jobs(self, active_jobs):
        self._waypoint_answered = answered = set()
        async for job in original(self, active_jobs):
            answered.add(id(job))
            yield job
        unanswered = [job for job in active_jobs if id(job) not in answered]
        if unanswered:
            ids = ", ".join(str(job.external_jobid) for job in unanswered)
            self.logger.warning(
                f"Waypoint: Slurm did not report the status of these jobs: {ids}. They are kept and asked about again. "
                "If this goes on, see whether squeue answers; Ctrl-C ends the run, and finished jobs stay finished."
            )
        for job in unanswered:
            yield job

    executor.check_active_jobs = check_active_jobs


def _record_answer(report):
    def report_and_record(self, job_info, *args, **kwargs):
        if self._waypoint_answered is not None:
            self._waypoint_answered.add(id(job_info))
        return report(self, job_info, *args, **kwargs)

    return report_and_record
