"""Shared passes: one job makes the artifacts of several bases that have the same draws.

The rules ``featurize_together``, ``fisher_rows_together`` and ``target_gradients_together`` pass their scripts a list
of specs and a path for each. Existing current artifacts are kept, so that adding a basis remakes no other.
"""

import argparse
import json
import os

from waypoint.store.artifacts.replaced import ROOT
from waypoint.workflow.bases import BASES
from waypoint.workflow.jobs.gradients_from_spec import projection
from waypoint.workflow.jobs.job import Job, run_jobs
from waypoint.workflow.plan.reruns import LocalStore, examine


def run_together(main, arguments):
    """Do the same as ``job.run``, but call ``main(jobs)`` with a ``Job`` for each basis whose artifact is to be made.

    Args:
        arguments: as for ``job.run``, including "curvature*" and "out*". In each job's ``args``, ``out`` is its own
            path, and ``curvature`` the paths of the curvatures that map its basis.
    """
    run_jobs(main, arguments, jobs_of)


def jobs_of(args, log):
    """Return the ``Job`` of every basis whose artifact is missing or stale.

    If none is, the rerun was requested, and all jobs are returned.
    """
    requests, paths = json.loads(args.spec), iter(args.curvature or [])
    jobs = [
        Job(argparse.Namespace(**{**vars(args), "spec": json.dumps(request), "out": out}), log)
        for request, out in zip(requests if isinstance(requests, list) else [requests], args.out, strict=True)
    ]
    mapped_jobs = [job for job in jobs if BASES[job.settings.get("basis", "plain")].map]
    for job in jobs:
        job.args.curvature = (
            [next(paths) for _ in range(len(args.curvature) // len(mapped_jobs))] if job in mapped_jobs else []
        )
    return [job for job in jobs if not _is_current(job)] or jobs


def _is_current(job):
    """Return whether the artifact of a job exists, is complete, and agrees with its spec."""
    if ROOT not in os.environ or not os.path.exists(job.args.out):
        return False
    return examine(LocalStore(os.environ[ROOT]), job.args.out, json.loads(job.args.spec)) is None


def device_of(jobs):
    """Return the torch device of a pass, as ``Job.device``, and record it for all its artifacts."""
    device = jobs[0].device()
    for job in jobs[1:]:
        job.provenance.device = jobs[0].provenance.device
    return device


def curvatures_of(jobs, checkpoint, m=0):
    """Return, for each job, the open curvature by which its basis maps the gradients of a ``Checkpoint``, or None.

    Args:
        m: index of the checkpoint among those of the jobs.

    Raises:
        WaypointError: as ``Job.curvature``.
    """
    return [job.curvature(job.args.curvature[m] if job.args.curvature else None, checkpoint) for job in jobs]


def projections(jobs, name, unet, curvatures):
    """Return P of every basis of a pass, applied after the basis's map.

    Args:
        name: the checkpoint's name. curvatures: an open curvature or None for each job.
    """
    return [projection(job.settings, name, unet, curvature) for job, curvature in zip(jobs, curvatures, strict=True)]
