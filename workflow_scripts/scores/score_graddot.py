"""Gradient products, the mean over checkpoints of ⟨φ_i, g_t⟩ with its standard error: TRAK without its kernel."""

from functools import partial

import numpy as np

from waypoint.workflow.jobs.features_pass import ARGUMENTS, score_in_one_pass
from waypoint.workflow.jobs.job import run


def term(features, g):
    """One checkpoint's ⟨φ_i, g_t⟩, block by block."""
    right = g.T.astype(np.float64)
    products = features.blocks(each=lambda rows: rows.astype(np.float64) @ right)
    return ((start, product.T) for start, product in products)


if __name__ == "__main__":
    run(partial(score_in_one_pass, term=term), ARGUMENTS)
