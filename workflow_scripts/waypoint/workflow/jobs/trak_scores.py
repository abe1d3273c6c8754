"""One checkpoint's term of scores whose kernel is made of the train features: Algorithm 1, line 17."""

from functools import partial

from waypoint.science.kernel import scores
from waypoint.store.zarr.reader import blocks


def term(features, g):
    """φ_iᵀK⁻¹g_t, in whichever basis they are.

    Args:
        features: ``features_pass.Features``. g: (steps, d).
    """
    return scores(features.blocks, features.n, features.d, partial(blocks, features.kernel["factor"]), g)
