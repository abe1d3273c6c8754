"""Snakemake's Slurm plugin forgets its jobs when a status query fails; here they are kept and asked about again.

The plugin hands back the jobs that still run. When all its queries of one look fail, because slurmctld restarts, for
example, it hands back none; they then count neither as running nor as finished, and Snakemake waits for ever, silently.

Written for snakemake-executor-plugin-slurm 2.8.0; any other version is left as it is, with a warning.
"""

import warnings
from importlib.metadata import version

from waypoint.errors import WaypointWarning

PACKAGE, WRITTEN_FOR = "snakemake-executor-plugin-slurm", "2.8.0"


def keep_unanswered_jobs(executor):
    """Make an executor class keep every job whose status a query did not return, and log that.

    Args:
        executor: the plugin's class ``Executor``; changed in place, once. Another version's is left as it is, with a
            ``WaypointWarning``.
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
    plain = executor.check_active_jobs
    executor._waypoint_answered = None
    for name in ("report_job_success", "report_job_error"):
        setattr(executor, name, _noting(getattr(executor, name)))

    async def check_active_jobs(self, active_jobs):
        self._waypoint_answered = answered = set()
        async for job in plain(self, active_jobs):
            answered.add(id(job))
            yield job
        left = [job for job in active_jobs if id(job) not in answered]
        if left:
            ids = ", ".join(str(job.external_jobid) for job in left)
            self.logger.warning(
                f"Waypoint: Slurm did not say how these jobs are: {ids}. They are kept and asked about again. "
                "If this goes on, see whether squeue answers; Ctrl-C ends the run, and finished jobs stay finished."
            )
        for job in left:
            yield job

    executor.check_active_jobs = check_active_jobs


def _noting(report):
    def noted(self, job_info, *args, **named):
        if self._waypoint_answered is not None:
            self._waypoint_answered.add(id(job_info))
        return report(self, job_info, *args, **named)

    return noted
