"""Step correlation: the similarity of the scores at two steps (B.5)."""

from waypoint.errors import WaypointError
from waypoint.workflow.evaluations.evaluation import Evaluation
from waypoint.workflow.evaluations.step_scores import check_methods, methods_by_step, step_scores, steps_by_target
from waypoint.workflow.plan.stage import FIGURES, START, Recipe, stage


@stage(version=1, cost=START, slurm="small")
def step_correlation(plan):
    """tables/step_correlation.csv."""
    return Recipe(inherits=plan.data(), reads=step_scores(plan))


@stage(FIGURES, cost=START, slurm="small")
def plot_step_correlation(plan):
    """figures/step_correlation.png."""
    return Recipe(plan.looks(methods_by_step(plan)), [("step_correlation", {})])


def check(config, grid):
    """Refuse methods without scores by step, and targets with a single step."""
    check_methods(config, "step_correlation")
    if max(map(len, steps_by_target(config))) < 2:
        raise WaypointError("config: evaluation.step_correlation compares steps; give a target at least two")


EVALUATION = Evaluation(
    "Spearman correlation between the scores of two steps (B.5).",
    rules="analyses",
    needs=("data",),
    check=check,
    tables=lambda plan: ["tables/step_correlation.csv"],
    figures=lambda plan: ["figures/step_correlation.png"],
)
