"""Curvature of one checkpoint: eigenvectors from a first set of Fisher rows, eigenvalues from a second; resumable."""

from functools import partial

from waypoint.science import fisher
from waypoint.science.curvature import Eigenvalues, Factors, factored_matrices
from waypoint.workflow.jobs.curvature_rows import make_curvature
from waypoint.workflow.jobs.job import run


def factored(rows, shapes, settings):
    """Return the curvature of the basis ``ekfac``."""
    matrices = factored_matrices(shapes, settings["rows"], settings["bound"])
    vectors = rows.saved("eigenvectors")
    if vectors is None:
        vectors = rows.add_to(Factors(matrices, rows.device), fisher.EIGENVECTORS).eigenvectors()
        rows.save("eigenvectors", vectors)
        rows.forget(fisher.EIGENVECTORS)
    return rows.add_to(Eigenvalues(matrices, vectors, rows.device), fisher.EIGENVALUES).curvature()


def main(job):
    make_curvature(job, partial(factored, settings=job.settings["curvature"]))


if __name__ == "__main__":
    run(main, ["data", "checkpoint", "name", "resume", "out"])
