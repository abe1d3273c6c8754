"""One checkpoint's term of scores without a kernel: ⟨φ_i, g_t⟩, in any basis."""

import numpy as np


def term(features, g):
    """Iterate over blocks of products in float64.

    Args:
        features: ``features_pass.Features``. g: (steps, d).
    """
    right = g.T.astype(np.float64)
    products = features.blocks(each=lambda rows: rows.astype(np.float64) @ right)
    return ((start, product.T) for start, product in products)
