"""Counterfactual distance: samples from the same x_t by models without a method's top images (§3.2, Fig. 5)."""

from waypoint.errors import WaypointError
from waypoint.workflow.evaluations import removals
from waypoint.workflow.evaluations.evaluation import Evaluation
from waypoint.workflow.evaluations.fid import dimensions, fid_section, network
from waypoint.workflow.evaluations.keys import targets
from waypoint.workflow.plan.stage import FIGURES, START, Recipe, stage

NAME = "counterfactual"
ORIGINAL, AFTER = "evaluation/counterfactual/{target}.zarr", "evaluation/counterfactual/{method}/{target}.zarr"


# ---- costs


def restarts(costs):
    """Return the seconds for one model to generate its images from x_t."""
    section = costs.plan.evaluation[NAME]
    return costs.rates.load + section["images"] * costs.calls(section["step"]) * costs.rates.call


def cost_of_original(costs):
    """Return the seconds for the generating model and the baseline models."""
    return (1 + costs.plan.evaluation["controls"]["full_models"]) * restarts(costs)


def cost_of_removals(costs):
    """Return the seconds for the models of a method's removals, averaged over methods."""
    methods = removals.methods_of(costs.plan, NAME)
    number = len(methods) - 1 + costs.plan.evaluation["controls"]["random_removals"]
    return len(costs.plan.evaluation[NAME]["n_remove"]) * number / len(methods) * restarts(costs)


# ---- stages


@stage(version=1, cost=cost_of_original, slurm="gpu")
def counterfactual_original(plan, target):
    """The original images and the baseline distances."""
    settings = {key: plan.evaluation[NAME][key] for key in ("step", "delta", "images")}
    controls = {"full_models": removals.other_models(plan, target)}
    sections = {NAME: settings, "fid": fid_section(plan), "controls": controls}
    return Recipe(sections, [plan.trajectory(target)], removals.baseline(plan, target) + network(plan))


@stage(version=1, cost=cost_of_removals, slurm="gpu")
def counterfactual_without(plan, target, method):
    """The distances after a method's removals."""
    reads = removals.removed_models(plan, NAME, target, method)
    return Recipe(removals.removal(plan, NAME, method), [("counterfactual_original", {"target": target})], reads)


@stage(version=1, cost=START, slurm="small")
def counterfactual_table(plan):
    """tables/counterfactual_fid.csv."""
    ids, methods = plan.evaluated(NAME), removals.methods_of(plan, NAME)
    reads = [("counterfactual_original", {"target": t}) for t in ids]
    reads += [("counterfactual_without", {"target": t, "method": m}) for t in ids for m in methods]
    return Recipe(inherits=plan.data(), reads=reads)


@stage(FIGURES, cost=START, slurm="small")
def plot_counterfactual(plan):
    """figures/counterfactual_fid.png."""
    return Recipe(plan.looks(removals.methods_of(plan, NAME)), [("counterfactual_table", {})])


# ---- the section


def check(config, grid):
    """Refuse impossible removals, and too few images for the number of features."""
    removals.check(config, NAME, grid)
    images, (dims, remedy) = config["evaluation"][NAME]["images"], dimensions(config)
    if images <= dims:
        raise WaypointError(
            f"config: evaluation.counterfactual.images: {images} images cannot give the covariance of {dims} features; "
            f"raise it or {remedy}"
        )


def stores(plan):
    """Return the paths of all targets' original images and of those after every method's removals."""
    ids = plan.evaluated(NAME)
    after = [(method, target) for method in removals.methods_of(plan, NAME) for target in ids]
    paths = [AFTER.format(method=method, target=target) for method, target in after]
    return [ORIGINAL.format(target=target) for target in ids] + paths


STEP = {
    "type": "integer",
    "description": "t, the step whose top influencers are removed and from which images are made. Paper: 400.",
    "default": 400,
    "minimum": 0,
}
EVALUATION = Evaluation(
    "Retraining without the top influencers (§3.2, Fig. 5).",
    rules="removals",
    keys={
        **removals.keys(targets("Targets.", default=False), STEP),
        "delta": {
            "type": "integer",
            "description": (
                "Δ: the retrained model makes the calls at steps in (t − Δ, t]. Unit: training-time steps. Paper: 100."
            ),
            "default": 100,
            "minimum": 1,
        },
        "images": {
            "type": "integer",
            "description": "Images per distribution. Paper: 5000.",
            "default": 5000,
            "minimum": 2,
        },
    },
    required=("targets", "n_remove"),
    needs=("data", "retraining"),
    check=check,
    stores=stores,
    tables=lambda plan: ["tables/counterfactual_fid.csv", "tables/counterfactual_fid_comparison.csv"],
    figures=lambda plan: ["figures/counterfactual_fid.png"],
    places=(ORIGINAL, AFTER),
    trainings=lambda plan: removals.trainings(plan, NAME),
    methods=lambda config: config["evaluation"][NAME]["methods"] or [],
)
