"""Snakemake runs the jobs that the store asks for, and a job's old output stays until the new one takes its place.

Why: for Snakemake, dates of files and the records of one working directory decide what runs, and it removes the
outputs of a job before the job starts. A copy without dates, a clock that is an hour off, or a setting that was
mistyped for a second then costs trained models. Waypoint's artifacts say themselves what made them, appear whole or not
at all, and are moved aside by the job that replaces them, so all of this is left out for jobs of Waypoint's own rules.
Jobs of other workflows that include Waypoint as a module keep Snakemake's behaviour.

Written for Snakemake 9.27 (the classes ``DAG``, ``Job`` and ``PersistenceBase``); there is no setting for any of this.
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
DECIDERS = []  # of every inclusion of Waypoint's Snakefile in this process


def let_artifacts_decide(owns, start, set_aside_remotely=None):
    """Hand the decision about what runs from Snakemake to Waypoint, for the jobs that ``owns`` claims.

    Args:
        owns: job → whether it is of Waypoint's own rules.
        start: ``decide(jobs)`` gives {job: why} of the jobs to run beside those whose output is missing, and ``linked``
            the outputs for which an artifact in another store stands, ``gone`` those that are links to nothing;
            ``examine(jobs)`` refuses what one of the jobs that will run would refuse, ``requested(paths)`` paths of
            what no job makes. None in processes that run a single job.
        set_aside_remotely: outputs of a finished job → None; moves earlier ones aside in a remote store.

    Raises:
        WaypointError: this version of Snakemake lacks what is changed here.
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
    """Errors of Snakemake's own kind: any other would be shown with a traceback."""
    try:
        yield
    except WaypointError as error:
        raise WorkflowError(f"Waypoint: {error}") from None


def _owned(job):
    return any(owns(job) for owns, *_ in DECIDERS)


async def _decide(self, planned, why):
    """Plan anew what Snakemake has planned: the jobs of ``why``, requested ones whose output is missing, what these
    need, and readers that are not Waypoint's.

    Snakemake itself also runs whatever reads a missing file that is made again, although its inputs are ancient, and
    does not look at jobs downstream of one that runs: it takes for granted that they run too.
    """
    queue, runs, gone = deque(), set(self._needrun), {}
    for job in (job for level in self.toposorted() for job in level if job in planned):
        reason = self.reason(job)
        if _owned(job):
            reason.no_metadata = False  # nothing that anyone needs to know
            reason.updated_input_run.clear()
            reason.missing_output.clear()
            if job in why:
                reason.forced = True
            elif job in self.targetjobs:
                reason.missing_output.update([file async for file in job.missing_output(job.output)])
        else:
            again = {file for file in reason.updated_input_run if not await file.exists() and job in self.targetjobs}
            above = ((needed, files) for needed, files in self.dependencies[job].items() if needed in runs)
            again.update(file for needed, files in above if not _owned(needed) for file in files)
            reason.updated_input_run.intersection_update(again)
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
            if needed not in gone:  # looked up once, not for every reader
                gone[needed] = {file async for file in needed.missing_output(needed.output)}
            missing = gone[needed].intersection(files)
            self.reason(needed).missing_output.update(missing)
            if missing and needed not in self._needrun:
                queue.append(needed)
        for reader, files in self.depending[job].items():
            if not _owned(reader) and reader not in self._needrun:
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

    async def begun(self, *args, **named):
        for _, start, _ in DECIDERS:
            if start is not None:
                with _refusals():
                    start.requested(self.targetfiles)
        await init(self, *args, **named)

    async def decided(self, create_inventory=False):
        planned = list(self.jobs)
        why = {}
        for owns, start, _ in DECIDERS:
            ours = [job for job in planned if owns(job)]
            for file in (file for job in ours for file in job.input):
                file._file = flag(file._file, "ancient")  # its date is no reason
            if start is not None:
                with _refusals():
                    why |= start.decide(ours)
                for file in start.gone:  # for Snakemake a link to nothing exists, until it asks for its date
                    self.workflow.iocache.exists_local[file] = False
                for file in start.linked:
                    self.workflow.iocache.exists_local[file] = True
                    self.workflow.iocache.mtime[file] = Mtime(local=0.0)
        await update_needrun(self, create_inventory)
        await _decide(self, set(planned), why)
        for owns, start, _ in DECIDERS:
            if start is not None:
                with _refusals():
                    start.examine([job for job in self._needrun if owns(job)])

    async def dates_of_others(self, job, expanded_output):
        if not _owned(job):
            await check_output_mtime(self, job, expanded_output)

    async def incomplete_of_others(self):
        whole = {file for job in filter(_owned, self.jobs) for file in job.output}
        return [file for file in await incomplete_files(self) if file not in whole]

    async def aside_before_upload(self, job, store_in_storage=True, store_only_log=False):
        if store_in_storage and not store_only_log and (self.workflow.remote_exec or self.workflow.is_main_process):
            for owns, _, set_aside_remotely in DECIDERS:
                if set_aside_remotely is not None and owns(job):
                    set_aside_remotely(job.output)
        await handle_storage(self, job, store_in_storage, store_only_log)

    async def keep_output(self):
        if not _owned(self):
            await remove_existing_output(self)

    async def keep_after_failure(self, skip_outputs):
        if not _owned(self):
            await cleanup(self, skip_outputs)

    def records_of_others(self, job):
        return not _owned(job) and has_metadata(self, job)

    dag.DAG.init, dag.DAG.update_needrun, dag.DAG.check_output_mtime = begun, decided, dates_of_others
    dag.DAG.incomplete_files, dag.DAG.handle_storage = incomplete_of_others, aside_before_upload
    jobs.Job.remove_existing_output, jobs.Job.cleanup = keep_output, keep_after_failure
    persistence.PersistenceBase.has_metadata = records_of_others
