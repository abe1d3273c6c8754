"""Split-half reliability: the agreement of scores from both halves of the checkpoints, or of the draws."""

from waypoint.errors import WaypointError
from waypoint.workflow.config.evaluated import number_of_checkpoints
from waypoint.workflow.evaluations.evaluation import Evaluation
from waypoint.workflow.plan.stage import FIGURES, START, Recipe, stage


def halved(plan):
    """Return the method whose scores are compared between halves of the checkpoints and of the draws."""
    return next(iter(plan.of_kind("trak")))


@stage(version=1, cost=START, slurm="small")
def split_half(plan):
    """tables/split_half.csv."""
    scores = [plan.score(halved(plan), target) for target in plan.targets]
    kernel = ("factor_kernel", {"method": halved(plan), "checkpoint": plan.checkpoints[0]})
    return Recipe(plan.ensemble(), [kernel], scores)


@stage(FIGURES, cost=START, slurm="small")
def plot_split_half(plan):
    """figures/split_half.png."""
    return Recipe(inherits=[("split_half", {})])


def check(config, grid):
    """Refuse a single checkpoint or draw, which has no halves."""
    if number_of_checkpoints(config) < 2 and not config["features"]["keep_halves"]:
        raise WaypointError(
            "config: evaluation.split_half compares halves: it needs two checkpoints or features.keep_halves"
        )


def methods(config):
    """Return the unlisted methods that are needed: trak, if no listed method is of this kind."""
    return [] if any(row["method"] == "trak" for row in config["methods"].values()) else ["trak"]


EVALUATION = Evaluation(
    "How well scores agree with those of the other half of the checkpoints, and of the draws; no retraining. "
    "Needs scores.keep_checkpoints, and features.keep_halves for the draws.",
    rules="analyses",
    needs=("data", "checkpoints"),
    check=check,
    tables=lambda plan: ["tables/split_half.csv"],
    figures=lambda plan: ["figures/split_half.png"],
    methods=methods,
)
