"""Sign overlap: training images that support a target at one step and oppose it at another (B.3, B.4)."""

from waypoint.errors import WaypointError
from waypoint.workflow.evaluations.evaluation import Evaluation
from waypoint.workflow.evaluations.keys import top_k
from waypoint.workflow.evaluations.ranks import check_top_k
from waypoint.workflow.evaluations.step_scores import check_methods, methods_by_step, step_scores, steps_by_target
from waypoint.workflow.plan.stage import FIGURES, START, Recipe, stage


@stage(version=1, cost=START, slurm="small")
def sign_overlap(plan):
    """tables/sign_overlap.csv."""
    return Recipe({"sign_overlap": plan.evaluation["sign_overlap"]}, plan.data(), step_scores(plan))


@stage(FIGURES, cost=START, slurm="small")
def plot_sign_overlap(plan):
    """figures/sign_overlap.png."""
    return Recipe(plan.looks(methods_by_step(plan)), [("sign_overlap", {})])


@stage(FIGURES, cost=START, slurm="small")
def plot_sign_flips(plan):
    """figures/sign_flips.png."""
    trajectories = [plan.trajectory(target) for target in plan.targets]
    return Recipe(inherits=[("sign_overlap", {})], reads=trajectories)


def check(config, grid):
    """Refuse methods without scores by step, targets without two common steps, and lists that are too long."""
    check_methods(config, "sign_overlap")
    if len(set.intersection(*steps_by_target(config))) < 2:
        raise WaypointError("config: evaluation.sign_overlap needs at least two steps that all targets have")
    check_top_k(config, "sign_overlap")


EVALUATION = Evaluation(
    "Share of targets with a training image that changes sides between steps (B.3, B.4).",
    rules="analyses",
    keys={"top_k": top_k("K: sizes of the top and bottom lists. Paper: see B.4.", [5, 10, 20, 50])},
    needs=("data",),
    check=check,
    tables=lambda plan: ["tables/sign_overlap.csv"],
    figures=lambda plan: ["figures/sign_overlap.png", "figures/sign_flips.png"],
)
