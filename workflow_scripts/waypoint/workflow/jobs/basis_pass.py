"""Bases with the same draws share a pass: one job makes what several of them ask for.

The rules ``featurize_together``, ``fisher_rows_together`` and ``target_gradients_together`` hand their scripts a list
of specs and a path for each. What is there already and right stays as it is, so that a basis that is added makes no
other anew.
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
    """As ``job.run``, but ``main(jobs)`` gets a ``Job`` for each basis of the pass whose artifact is to be made.

    Args:
        arguments: as for ``job.run``, among them "curvature*" and "out*". In each job's ``args``, ``out`` is its own
            path, and ``curvature`` the paths that its basis is mapped by.
    """
    run_jobs(main, arguments, jobs_of)


def jobs_of(args, log):
    """The ``Job`` of every basis whose artifact is not there or not right; of all, where they are all right.

    In that case somebody has asked for them to be made again.
    """
    asked, paths = json.loads(args.spec), iter(args.curvature or [])
    jobs = [
        Job(argparse.Namespace(**{**vars(args), "spec": json.dumps(each), "out": out}), log)
        for each, out in zip(asked if isinstance(asked, list) else [asked], args.out, strict=True)
    ]
    mapped = [job for job in jobs if BASES[job.settings.get("basis", "plain")].map]
    for job in jobs:
        job.args.curvature = [next(paths) for _ in range(len(args.curvature) // len(mapped))] if job in mapped else []
    return [job for job in jobs if not _is_right(job)] or jobs


def _is_right(job):
    """Whether the artifact of a job is there, whole, and what its spec asks for."""
    if ROOT not in os.environ or not os.path.exists(job.args.out):
        return False
    return examine(LocalStore(os.environ[ROOT]), job.args.out, json.loads(job.args.spec)) is None


def device_of(jobs):
    """The torch device of a pass, as ``Job.device``, recorded for all its artifacts."""
    device = jobs[0].device()
    for job in jobs[1:]:
        job.provenance.device = jobs[0].provenance.device
    return device


def curvatures_of(jobs, checkpoint, m=0):
    """What the basis of each job maps the gradients of a ``Checkpoint`` by: an open curvature, or None.

    Args:
        m: number of the checkpoint among those of the jobs.

    Raises:
        WaypointError: as ``Job.curvature``.
    """
    return [job.curvature(job.args.curvature[m] if job.args.curvature else None, checkpoint) for job in jobs]


def projections(jobs, name, unet, curvatures):
    """P of every basis of a pass, after its map.

    Args:
        name: of the checkpoint. curvatures: an open curvature or None for each job.
    """
    return [projection(job.settings, name, unet, curvature) for job, curvature in zip(jobs, curvatures, strict=True)]
