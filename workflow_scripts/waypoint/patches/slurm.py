"""Patience with Slurm: a status query that fails must not make Snakemake forget its jobs.

The executor plugin (2.8.0) hands back the jobs that still run. When all its queries of one look fail, because slurmctld
restarts, say, it hands back none; they then count neither as running nor as finished, and Snakemake waits for ever,
silently.
"""


def keep_unanswered_jobs(executor):
    """Have an executor class keep every job that a look at Slurm says nothing about, and say so.

    Args:
        executor: the plugin's class ``Executor``; changed in place, once.
    """
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
