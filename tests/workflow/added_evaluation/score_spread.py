"""How far apart the scores of a target are: an evaluation that a test adds."""

from waypoint.errors import WaypointError
from waypoint.workflow.evaluations.evaluation import Evaluation
from waypoint.workflow.plan.stage import FIGURES, Recipe, stage


@stage(version=3, cost=lambda costs: 7.0 * costs.models, slurm="gpu")
def score_spread(plan, target):
    """evaluation/spread/{target}.zarr."""
    return Recipe({"score_spread": plan.evaluation["score_spread"]}, plan.data(), plan.all_scores())


@stage(FIGURES, slurm="small")
def plot_score_spread(plan):
    """figures/score_spread.png, of which nobody has said what it costs."""
    return Recipe(reads=[("score_spread", {"target": target}) for target in plan.targets])


def check(config, grid):
    if config["evaluation"]["score_spread"]["least"] > len(config["targets"]):
        raise WaypointError("config: evaluation.score_spread.least: there are not so many targets")


EVALUATION = Evaluation(
    "How far apart the scores are.",
    rules="score_spread",
    keys={"least": {"type": "integer", "description": "Fewest targets.", "default": 2, "minimum": 1}},
    needs=("data", "labels"),
    check=check,
    stores=lambda plan: [f"evaluation/spread/{target}.zarr" for target in plan.targets],
    figures=lambda plan: ["figures/score_spread.png"],
)
