"""One checkpoint's term of scores whose kernel is made from Fisher rows: φ_iᵀK⁻¹g_t, in any basis."""

from functools import partial

from waypoint.science import fisher_kernel
from waypoint.store.zarr.reader import blocks


def term(features, g):
    """Return one checkpoint's term in line 17 of Algorithm 1 with K from Fisher rows.

    Args:
        features: ``features_pass.Features``. g: (steps, dim).
    """
    rows, kernel = features.rows["u"], features.kernel
    lower, strength = partial(blocks, kernel["factor"]), kernel.attrs["damping_strength"]
    count, dim = rows.shape
    solved = fisher_kernel.solve(partial(blocks, rows), count, dim, lower, strength, g)
    return fisher_kernel.scores(features.blocks, solved)
