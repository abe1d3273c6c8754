"""One checkpoint's term of scores whose kernel is made of Fisher rows: φ_iᵀK⁻¹g_t, in whichever basis they are."""

from functools import partial

from waypoint.science import fisher_kernel
from waypoint.store.zarr.reader import blocks


def term(features, g):
    """Line 17 with another K, one checkpoint's term.

    Args:
        features: ``features_pass.Features``. g: (steps, dim).
    """
    rows, kernel = features.rows["u"], features.kernel
    lower, strength = partial(blocks, kernel["factor"]), kernel.attrs["damping_strength"]
    count, dim = rows.shape
    solved = fisher_kernel.solve(partial(blocks, rows), count, dim, lower, strength, g)
    return fisher_kernel.scores(features.blocks, solved)
