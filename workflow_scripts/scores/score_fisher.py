"""TRAK scores with a Fisher kernel, the mean over checkpoints of φ_iᵀK⁻¹g_t, of a target and of those that wait."""

from functools import partial

from waypoint.science import fisher_kernel
from waypoint.store.zarr.reader import blocks
from waypoint.workflow.jobs.features_pass import ARGUMENTS, score_in_one_pass
from waypoint.workflow.jobs.job import run


def term(features, g):
    """One checkpoint's term, K being made of Fisher rows."""
    rows, kernel = features.rows["u"], features.kernel
    lower, strength = partial(blocks, kernel["factor"]), kernel.attrs["damping_strength"]
    return fisher_kernel.scores(
        features.blocks, fisher_kernel.solve(partial(blocks, rows), *rows.shape, lower, strength, g)
    )


if __name__ == "__main__":
    run(partial(score_in_one_pass, term=term), [*ARGUMENTS, "kernels*", "fisher*"])
