"""TRAK scores with a Fisher kernel, the mean over checkpoints of φ_iᵀK⁻¹g_t, for all pending targets."""

from functools import partial

from waypoint.workflow.jobs.features_pass import ARGUMENTS, score_in_one_pass
from waypoint.workflow.jobs.fisher_scores import term
from waypoint.workflow.jobs.job import run

if __name__ == "__main__":
    run(partial(score_in_one_pass, term=term), [*ARGUMENTS, "kernels*", "fisher*"])
