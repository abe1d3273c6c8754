"""D-TRAK scores: TRAK on gradients of the squared output, for all pending targets."""

from functools import partial

from waypoint.workflow.jobs.features_pass import ARGUMENTS, score_in_one_pass
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.trak_scores import term

if __name__ == "__main__":
    run(partial(score_in_one_pass, term=term), [*ARGUMENTS, "kernels*"])
