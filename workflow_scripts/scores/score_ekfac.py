"""Scores as by ``fisher``, on gradients whitened by the curvature, for all pending targets."""

from functools import partial

from waypoint.workflow.jobs.features_pass import ARGUMENTS, score_in_one_pass
from waypoint.workflow.jobs.fisher_scores import term
from waypoint.workflow.jobs.job import run

if __name__ == "__main__":
    run(partial(score_in_one_pass, term=term), [*ARGUMENTS, "kernels*", "fisher*"])
