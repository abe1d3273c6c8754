"""One checkpoint's term of scores without a kernel: ⟨φ_i, g_t⟩, in whichever basis they are."""

import numpy as np


def term(features, g):
    """Products in float64, block by block.

    Args:
        features: ``features_pass.Features``. g: (steps, d).
    """
    right = g.T.astype(np.float64)
    products = features.blocks(each=lambda rows: rows.astype(np.float64) @ right)
    return ((start, product.T) for start, product in products)
