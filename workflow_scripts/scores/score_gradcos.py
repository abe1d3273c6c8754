"""Cosines of gradients, the mean over checkpoints of ⟨φ_i, g_t⟩ / (‖φ_i‖ ‖g_t‖) with its standard error."""

from functools import partial

from waypoint.science.baselines import cosine
from waypoint.workflow.jobs.features_pass import ARGUMENTS, score_in_one_pass
from waypoint.workflow.jobs.job import run


def term(features, g):
    """Return one checkpoint's cosines, block by block."""
    blocks = features.blocks(each=lambda rows: cosine(rows, g).T)
    return ((start, cosines.T) for start, cosines in blocks)


if __name__ == "__main__":
    run(partial(score_in_one_pass, term=term), ARGUMENTS)
