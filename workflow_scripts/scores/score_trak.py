"""TRAK scores, the mean over checkpoints of φ_iᵀK⁻¹g_t with its standard error, of a target and of those that wait."""

from functools import partial

from waypoint.science.algorithm1 import attribution
from waypoint.store.zarr.reader import blocks
from waypoint.workflow.jobs.features_pass import ARGUMENTS, score_in_one_pass
from waypoint.workflow.jobs.job import run


def term(features, g):
    """Line 17, one checkpoint's term."""
    return attribution(features.blocks, features.n, features.d, partial(blocks, features.kernel["factor"]), g)


if __name__ == "__main__":
    run(partial(score_in_one_pass, term=term), [*ARGUMENTS, "kernels*"])
