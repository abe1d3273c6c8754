"""The diagonal of one checkpoint's Fisher matrix, from the rows that give ``curvature`` its eigenvalues; resumable."""

from waypoint.science import fisher
from waypoint.science.curvature import Eigenvalues, diagonal_matrices
from waypoint.workflow.jobs.curvature_rows import make_curvature
from waypoint.workflow.jobs.job import run


def diagonal(rows, shapes):
    """Return the curvature of the basis ``diagonal``."""
    return rows.add_to(Eigenvalues(diagonal_matrices(shapes), {}, rows.device), fisher.EIGENVALUES).curvature()


def main(job):
    make_curvature(job, diagonal)


if __name__ == "__main__":
    run(main, ["data", "checkpoint", "name", "resume", "out"])
