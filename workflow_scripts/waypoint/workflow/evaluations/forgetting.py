"""Forgetting: images from the same seed by models without a method's top images (§5.5, Fig. 7)."""

from waypoint.workflow.config.evaluated import chosen_targets
from waypoint.workflow.config.given_images import require_repeatable
from waypoint.workflow.evaluations import removals
from waypoint.workflow.evaluations.evaluation import Evaluation
from waypoint.workflow.evaluations.keys import targets
from waypoint.workflow.plan.stage import FIGURES, START, Recipe, stage

NAME = "forgetting"
IMAGES = "evaluation/forgetting/{method}/{target}.zarr"


def compared_methods(plan):
    """Return the methods whose removals are compared, and ``none`` for other models of the full set."""
    return [*removals.methods_of(plan, NAME), "none"]


def cost(costs):
    """Return the seconds for the images of a method's models, averaged over methods."""
    section, controls = costs.plan.evaluation[NAME], costs.plan.evaluation["controls"]
    methods = removals.methods_of(costs.plan, NAME)
    number = len(methods) - 1 + controls["random_removals"]
    models = (len(section["n_remove"]) * number + controls["full_models"]) / (len(methods) + 1)
    return models * costs.one_trajectory()


@stage(version=1, cost=cost, slurm="gpu")
def forgetting(plan, target, method):
    """Images from the same seed after a method's removals, or, for ``none``, by other models of the full set."""
    settings = {NAME: {"step": plan.evaluation[NAME]["step"]}}
    trajectory = [plan.trajectory(target)]
    if method == "none":
        controls = {"controls": {"full_models": removals.other_models(plan, target)}}
        return Recipe(settings | controls, trajectory, removals.baseline(plan, target))
    removal = removals.removal(plan, NAME, method)
    sections = settings | removal | {NAME: settings[NAME] | removal[NAME]}
    return Recipe(sections, trajectory, removals.removed_models(plan, NAME, target, method))


@stage(version=1, cost=START, slurm="small")
def forgetting_table(plan):
    """tables/forgetting.csv."""
    ids = plan.evaluated(NAME)
    reads = [("forgetting", {"target": t, "method": m}) for t in ids for m in compared_methods(plan)]
    return Recipe(inherits=plan.data(), reads=reads)


@stage(FIGURES, cost=START, slurm="small")
def plot_forgetting(plan):
    """figures/forgetting.png."""
    return Recipe(plan.looks(removals.methods_of(plan, NAME)), [("forgetting_table", {})])


def check(config, grid):
    """Refuse impossible removals, and targets that cannot be generated again."""
    removals.check(config, NAME, grid)
    rows = {target["id"]: target for target in config["targets"]}
    for name in chosen_targets(config, NAME):
        require_repeatable(rows[name], "config: evaluation.forgetting.targets")


def stores(plan):
    """Return the paths of all targets' images after every method's removals."""
    pairs = [(method, target) for method in compared_methods(plan) for target in plan.evaluated(NAME)]
    return [IMAGES.format(method=method, target=target) for method, target in pairs]


STEP = {
    "type": "integer",
    "description": "t, the step whose top influencers are removed. Paper: 300.",
    "default": 300,
    "minimum": 0,
}
EVALUATION = Evaluation(
    "Retraining without the top influencers, then the same seed (§5.5, Fig. 7). Models are shared with counterfactual "
    "where step and n_remove agree.",
    rules="removals",
    keys=removals.keys(targets("Targets, each with its own removals.", default=False), STEP),
    required=("targets", "n_remove"),
    needs=("data", "retraining"),
    check=check,
    stores=stores,
    tables=lambda plan: ["tables/forgetting.csv", "tables/forgetting_comparison.csv"],
    figures=lambda plan: ["figures/forgetting.png"],
    places=(IMAGES,),
    trainings=lambda plan: removals.trainings(plan, NAME),
    methods=lambda config: config["evaluation"][NAME]["methods"] or [],
)
