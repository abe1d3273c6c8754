"""Parts shared by the evaluations that retrain without a method's top images, counterfactual and forgetting.

Both have the keys ``targets``, ``step``, ``n_remove`` and ``methods``, and share models if step and number agree.
"""

import numpy as np

from waypoint.errors import WaypointError
from waypoint.science.timesteps import check_steps
from waypoint.workflow.config.evaluated import chosen_targets, number_of_images
from waypoint.workflow.plan.stage import START, TRAININGS, Recipe, stage

SECTIONS = ("counterfactual", "forgetting")


def keys(targets, step):
    """Return the keys that both evaluations have.

    Args:
        targets: the key ``targets``. step: the key ``step``.
    """
    return {
        "targets": targets,
        "step": step,
        "n_remove": {
            "type": "array",
            "description": (
                "How many of a method's top training images are removed: integers, or shares of the training set "
                "below 1. Paper: 200, 500, 1000."
            ),
            "items": {"type": ["integer", "number"], "exclusiveMinimum": 0},
            "minItems": 1,
            "uniqueItems": True,
        },
        "methods": {
            "type": ["array", "null"],
            "description": (
                "Methods whose top images are removed; random removals are always made beside them. null: all of "
                "methods."
            ),
            "default": None,
            "items": {"type": "string", "pattern": "^[a-z0-9-]+$"},
            "minItems": 1,
            "uniqueItems": True,
        },
    }


def check(config, section, grid):
    """Refuse removals for which the configuration lacks models, images, steps or scores.

    Raises:
        WaypointError: names the key.
    """
    settings, n = config["evaluation"][section], number_of_images(config)
    count, controls = config["checkpoints"]["count"], config["evaluation"]["controls"]["full_models"]
    if count <= controls:
        raise WaypointError(
            f"config: evaluation.{section} compares with {controls} models of the full set other than the generating "
            f"one (evaluation.controls.full_models), but checkpoints.count is {count}"
        )
    if grid is not None:
        check_steps([settings["step"]], grid, f"config: evaluation.{section}.step")
    for k in settings["n_remove"]:
        if isinstance(k, float) and k >= 1:
            raise WaypointError(f"config: evaluation.{section}.n_remove: {k} is neither an integer nor a share below 1")
        if n is not None and not 1 <= (k if isinstance(k, int) else round(k * n)) < n:
            raise WaypointError(f"config: evaluation.{section}.n_remove: {k} of {n} training images")
    for method in settings["methods"] or []:
        if method not in config["methods"] and method != "random":
            raise WaypointError(f"config: evaluation.{section}.methods: {method} is not one of methods")
    targets = {target["id"]: target for target in config["targets"]}
    for name in chosen_targets(config, section):
        if settings["step"] not in targets[name].get("steps", config["attribution"]["steps"]):
            raise WaypointError(
                f"config: evaluation.{section}.step: {settings['step']} is not among the attributed steps of "
                f"target {name}"
            )


def methods_of(plan, section):
    """Return the methods whose removals an evaluation compares; random is always the last."""
    names = plan.evaluation[section]["methods"] or plan.methods
    return [method for method in names if method != "random"] + ["random"]


def other_models(plan, target):
    """Return the names of a target's baseline models: models of the full set except the generating one."""
    others = [name for name in plan.checkpoints if name != plan.targets[target]["checkpoint"]]
    return others[: plan.evaluation["controls"]["full_models"]]


def baseline(plan, target):
    """Return a target's baseline models as artifacts."""
    return [plan.model(name) for name in other_models(plan, target)]


def without_models(plan, section, target, method):
    """Return the names of the models trained without a method's top images; random removals serve all targets."""
    settings = plan.evaluation[section]
    if method == "random":
        removals = range(plan.evaluation["controls"]["random_removals"])
        return [f"without/random_{r}_n{n}" for n in settings["n_remove"] for r in removals]
    return [f"without/{method}_{target}_t{settings['step']}_n{n}" for n in settings["n_remove"]]


def trainings(plan, section):
    """Return the names of all models that an evaluation trains."""
    pairs = [(target, method) for method in methods_of(plan, section) for target in plan.evaluated(section)]
    return [name for pair in pairs for name in without_models(plan, section, *pair)]


def removed_models(plan, section, target, method):
    """Return a method's retrained models as artifacts, and the scores that determine the removed images."""
    settings = plan.evaluation[section]
    if method == "random":
        removals = range(plan.evaluation["controls"]["random_removals"])
        return [
            ("train_without_random", {"removal": str(r), "n_remove": str(n)})
            for n in settings["n_remove"]
            for r in removals
        ]
    key = {"method": method, "target": target, "step": str(settings["step"])}
    return [("train_without", {**key, "n_remove": str(n)}) for n in settings["n_remove"]] + [plan.score(method, target)]


def removal(plan, section, method):
    """Return the spec's sections for a method's removals; the number of random ones is a setting."""
    scores = {} if method == "random" else {"method": method}
    controls = {"random_removals": plan.evaluation["controls"]["random_removals"]} if method == "random" else {}
    return {section: {"n_remove": plan.evaluation[section]["n_remove"]} | scores, "controls": controls}


def cost_of_training(costs):
    """Return the seconds to train one model without removed images, averaged over removals."""
    sections = filter(None, (costs.plan.evaluation[name] for name in SECTIONS))
    shares = [n for section in sections for n in section["n_remove"]]
    removed = np.mean([n * costs.sizes.images if isinstance(n, float) else n for n in shares])
    return costs.training(costs.sizes.images - float(removed))


TRAINED = {
    "cost": cost_of_training,
    "like": "train",
    "slurm": "gpu",
    "trained": lambda plan: "without some of the images",
}


@stage(TRAININGS, entry="train", **TRAINED)
def train_without(plan, method, target, step, n_remove):
    """A model trained without a method's top images, which follow from the scores."""
    recipe = plan.recipe("train", checkpoint="full/0")
    images = {"method": method, "target": target, "step": int(step), "remove": share_or_count(n_remove)}
    return Recipe(recipe.sections, recipe.inherits, [plan.score(method, target)], {"images": images})


@stage(TRAININGS, entry="train", **TRAINED)
def train_without_random(plan, removal, n_remove):
    """A model trained without some random images."""
    recipe = plan.recipe("train", checkpoint="full/0")
    images = {"random": int(removal), "remove": share_or_count(n_remove)}
    return Recipe(recipe.sections, recipe.inherits, item={"images": images})


@stage(version=1, cost=START, slurm="small")
def compare_removals(plan, evaluation):
    """tables/counterfactual_fid_comparison.csv, tables/forgetting_comparison.csv."""
    return Recipe(
        inherits=[("counterfactual_table" if evaluation == "counterfactual_fid" else evaluation + "_table", {})]
    )


def share_or_count(text):
    """Return n_remove as in the configuration from its form in a model's name."""
    return float(text) if "." in text or "e" in text else int(text)
