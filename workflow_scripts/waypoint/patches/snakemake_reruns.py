"""Let the store decide which jobs Snakemake runs, and keep a job's old output until the new one replaces it.

By itself, Snakemake decides what to run from file dates and from records in the working directory, and it removes a
job's outputs before the job starts. A copy that lost its dates, a clock that is an hour off or a briefly mistyped
setting can then cost trained models. Waypoint's artifacts record what made them, appear whole or not at all, and are
moved aside by the job that replaces them, so none of this is needed for jobs of Waypoint's own rules. Jobs of other
workflows that include Waypoint as a module keep Snakemake's behaviour.

Written for Snakemake 9.27 (the classes ``DAG``, ``Job`` and ``PersistenceBase``), which has no setting for any of this.
"""

import contextlib
from collections import deque

from snakemake import dag, jobs, persistence
from snakemake.exceptions import WorkflowError
from snakemake.io import flag
from snakemake_interface_storage_plugins.io import Mtime

from waypoint.errors import WaypointError

PATCHED = {
    dag.DAG: ("init", "update_needrun", "check_output_mtime", "incomplete_files", "handle_storage"),
    jobs.Job: ("remove_existing_output", "cleanup"),
    persistence.PersistenceBase: ("has_metadata",),
}
DECIDERS = []  # one entry for each inclusion of Waypoint's Snakefile in this process


def let_artifacts_decide(owns, start, set_aside_remotely=None):
    """Let Waypoint instead of Snakemake decide which of the jobs claimed by ``owns`` run.

    Args:
        owns: job → whether it belongs to one of Waypoint's rules.
        start: ``decide(jobs)`` returns {job: reason} for the jobs to run in addition to those whose output is missing;
            it sets ``linked``, the outputs that an artifact in another store stands for, and ``gone``, the outputs that
            are broken links. ``examine(jobs)`` refuses early what one of the jobs to run would refuse, and
            ``requested(paths)`` refuses paths that no job makes. None in processes that run a single job.
        set_aside_remotely: outputs of a finished job → None; moves earlier outputs aside in a remote store.

    Raises:
        WaypointError: this version of Snakemake lacks a method that is patched here.
    """
    for kind, names in PATCHED.items():
        for name in names:
            if not callable(getattr(kind, name, None)):
                raise WaypointError(
                    f"this version of Snakemake has no {kind.__name__}.{name}, which decides what runs; "
                    "install the versions that envs/constraints.txt names"
                )
    if not DECIDERS:
        _patch()
    DECIDERS.append((owns, start, set_aside_remotely))


@contextlib.contextmanager
def _refusals():
    """Turn ``WaypointError`` into Snakemake's own error, the only kind it shows without a traceback."""
    try:
        yield
    except WaypointError as error:
        raise WorkflowError(f"Waypoint: {error}") from None


def _is_owned(job):
    return any(owns(job) for owns, *_ in DECIDERS)


async def _decide(self, planned, reasons):
    """Replace Snakemake's selection: run the jobs of ``reasons``, requested jobs whose output is missing, the jobs
    that these need, and their readers that are not Waypoint's.

    Snakemake would also run every reader of a missing file that is made again, even though its inputs are ancient, and
    it does not examine jobs downstream of a running one: it assumes that they run too.
    """
    queue, runs, gone = deque(), set(self._needrun), {}
    for job in (job for level in self.toposorted() for job in level if job in planned):
        reason = self.reason(job)
        if _is_owned(job):
            reason.no_metadata = False  # of no interest to the user
            reason.updated_input_run.clear()
            reason.missing_output.clear()
            if job in reasons:
                reason.forced = True
            elif job in self.targetjobs:
                reason.missing_output.update([file async for file in job.missing_output(job.output)])
        else:
            updated = {file for file in reason.updated_input_run if not await file.exists() and job in self.targetjobs}
            from_running = ((needed, files) for needed, files in self.dependencies[job].items() if needed in runs)
            updated.update(file for needed, files in from_running if not _is_owned(needed) for file in files)
            reason.updated_input_run.intersection_update(updated)
        allowed = not self.rules_allowed_for_needrun or job.rule.name in self.rules_allowed_for_needrun
        if allowed and reason and not self.finished(job):
            queue.append(job)
        else:
            runs.discard(job)
    self._needrun.clear()
    self._n_until_ready.clear()
    while queue:
        job = queue.popleft()
        if job in self._needrun:
            continue
        self._needrun.add(job)
        for needed, files in self.dependencies[job].items():
            if needed not in gone:  # looked up once, not once per reader
                gone[needed] = {file async for file in needed.missing_output(needed.output)}
            missing = gone[needed].intersection(files)
            self.reason(needed).missing_output.update(missing)
            if missing and needed not in self._needrun:
                queue.append(needed)
        for reader, files in self.depending[job].items():
            if not _is_owned(reader) and reader not in self._needrun:
                self.reason(reader).updated_input_run.update(files)
                queue.append(reader)
    for job in self._needrun:
        self._n_until_ready[job] = sum(1 for needed in self.dependencies[job] if needed in self._needrun)
    self._len = len(self._finished | self._needrun)


def _patch():
    init, update_needrun, check_output_mtime = dag.DAG.init, dag.DAG.update_needrun, dag.DAG.check_output_mtime
    incomplete_files, handle_storage = dag.DAG.incomplete_files, dag.DAG.handle_storage
    remove_existing_output, cleanup = jobs.Job.remove_existing_output, jobs.Job.cleanup
    has_metadata = persistence.PersistenceBase.has_metadata

    async def checked_init(self, *args, **kwargs):
        for _, start, _ in DECIDERS:
            if start is not None:
                with _refusals():
                    start.requested(self.targetfiles)
        await init(self, *args, **kwargs)

    async def store_update_needrun(self, create_inventory=False):
        planned = list(self.jobs)
        reasons = {}
        for owns, start, _ in DECIDERS:
            own_jobs = [job for job in planned if owns(job)]
            for file in (file for job in own_jobs for file in job.input):
                file._file = flag(file._file, "ancient")  # its date must not trigger a run
            if start is not None:
                with _refusals():
                    reasons |= start.decide(own_jobs)
                for file in start.gone:  # to Snakemake a broken link exists until it asks for the date
                    self.workflow.iocache.exists_local[file] = False
                for file in start.linked:
                    self.workflow.iocache.exists_local[file] = True
                    self.workflow.iocache.mtime[file] = Mtime(local=0.0)
        await update_needrun(self, create_inventory)
        await _decide(self, set(planned), reasons)
        for owns, start, _ in DECIDERS:
            if start is not None:
                with _refusals():
                    start.examine([job for job in self._needrun if owns(job)])

    async def check_foreign_mtime(self, job, expanded_output):
        if not _is_owned(job):
            await check_output_mtime(self, job, expanded_output)

    async def foreign_incomplete_files(self):
        own_outputs = {file for job in filter(_is_owned, self.jobs) for file in job.output}
        return [file for file in await incomplete_files(self) if file not in own_outputs]

    async def set_aside_first(self, job, store_in_storage=True, store_only_log=False):
        if store_in_storage and not store_only_log and (self.workflow.remote_exec or self.workflow.is_main_process):
            for owns, _, set_aside_remotely in DECIDERS:
                if set_aside_remotely is not None and owns(job):
                    set_aside_remotely(job.output)
        await handle_storage(self, job, store_in_storage, store_only_log)

    async def keep_output(self):
        if not _is_owned(self):
            await remove_existing_output(self)

    async def keep_after_failure(self, skip_outputs):
        if not _is_owned(self):
            await cleanup(self, skip_outputs)

    def has_foreign_metadata(self, job):
        return not _is_owned(job) and has_metadata(self, job)

    dag.DAG.init, dag.DAG.update_needrun, dag.DAG.check_output_mtime = (
        checked_init,
        store_update_needrun,
        check_foreign_mtime,
    )
    dag.DAG.incomplete_files, dag.DAG.handle_storage = foreign_incomplete_files, set_aside_first
    jobs.Job.remove_existing_output, jobs.Job.cleanup = keep_output, keep_after_failure
    persistence.PersistenceBase.has_metadata = has_foreign_metadata
