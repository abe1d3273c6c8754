"""Top overlap: the images that the top lists of different targets have in common."""

from waypoint.errors import WaypointError
from waypoint.workflow.evaluations.evaluation import Evaluation
from waypoint.workflow.evaluations.keys import top_k
from waypoint.workflow.evaluations.ranks import check_top_k
from waypoint.workflow.plan.stage import FIGURES, START, Recipe, stage


@stage(version=1, cost=START, slurm="small")
def top_overlap(plan):
    """tables/top_overlap.csv."""
    return Recipe({"top_overlap": plan.evaluation["top_overlap"]}, plan.data(), plan.all_scores())


@stage(FIGURES, cost=START, slurm="small")
def plot_top_overlap(plan):
    """figures/top_overlap.png."""
    return Recipe(plan.looks(), [("top_overlap", {})])


def check(config, grid):
    """Refuse a single target, and lists that are too long."""
    if len(config["targets"]) < 2:
        raise WaypointError("config: evaluation.top_overlap compares targets; there is only one")
    check_top_k(config, "top_overlap")


EVALUATION = Evaluation(
    "How much the top lists of different targets share: images that dominate every target show up here.",
    rules="analyses",
    keys={"top_k": top_k("K: sizes of the top lists.", [10, 50])},
    needs=("data",),
    check=check,
    tables=lambda plan: ["tables/top_overlap.csv"],
    figures=lambda plan: ["figures/top_overlap.png"],
)
