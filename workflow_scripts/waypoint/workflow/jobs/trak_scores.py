"""One checkpoint's term of scores whose kernel is made from the train features: Algorithm 1, line 17."""

from functools import partial

from waypoint.science.kernel import scores
from waypoint.store.zarr.reader import blocks


def term(features, g):
    """Return φ_iᵀK⁻¹g_t, in any basis.

    Args:
        features: ``features_pass.Features``. g: (steps, d).
    """
    return scores(features.blocks, features.n, features.d, partial(blocks, features.kernel["factor"]), g)
