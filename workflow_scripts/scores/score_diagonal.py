"""Gradient products ⟨φ_i, g_t⟩ after whitening both sides by the diagonal: Σ φ_i g_t / (F + λ) over parameters."""

from functools import partial

from waypoint.workflow.jobs.features_pass import ARGUMENTS, score_in_one_pass
from waypoint.workflow.jobs.gradient_products import term
from waypoint.workflow.jobs.job import run

if __name__ == "__main__":
    run(partial(score_in_one_pass, term=term), ARGUMENTS)
