"""Linear datamodeling score: outputs of models of random subsets against predictions from scores (§5.3, Fig. 4)."""

import math

from waypoint.errors import WaypointError
from waypoint.science.evaluation.lds_interval import half_width
from waypoint.science.timesteps import check_steps
from waypoint.workflow.config.evaluated import number_of_images
from waypoint.workflow.evaluations.evaluation import Evaluation
from waypoint.workflow.evaluations.keys import steps
from waypoint.workflow.plan.stage import FIGURES, START, TRAININGS, Recipe, stage
from waypoint.workflow.words import counted

TABLES = ("lds", "lds_summary", "lds_cross", "lds_overall", "lds_comparison")
OUTPUTS = "evaluation/outputs/{target}.zarr"
PANELS = "figures/{target}/lds/{method}.png"  # trajectory panels with the LDS
PICTURE = 0.3  # seconds to draw a panel
WIDE = 0.1  # half-width of a wide interval of the LDS, about the difference between methods


def pick(plan, keys):
    """Return {key: value} of some keys of the section ``lds``, given as one string."""
    return {key: plan.evaluation["lds"][key] for key in keys.split()}


def subset_models(plan):
    """Return the names of all subset models, grouped by subset."""
    lds = plan.evaluation["lds"]
    return [f"subset/{j}-{r}" for j in range(lds["subsets"]) for r in range(lds["models_per_subset"])]


def interval(plan):
    """Return a sentence on the width of the LDS's intervals, with advice if they are wider than ±0.1."""
    subsets, models, targets = *pick(plan, "subsets models_per_subset").values(), len(plan.targets)
    width = half_width(subsets, models, targets)
    setup = f"LDS: {counted(subsets, 'subset')} with {counted(models, 'model')} each and {counted(targets, 'target')}"
    if math.isinf(width):
        return f"{setup} are too few for an interval; use more subsets (evaluation.lds.subsets)"
    sentence = f"{setup} give an interval of about ±{width:.2f} around each method's mean at a step"
    if width <= WIDE:
        return sentence
    finer, broader = half_width(4 * subsets, models, targets), half_width(subsets, models, 4 * targets)
    sentence += f"; use more subsets (evaluation.lds.subsets): {4 * subsets} would give ±{finer:.2f}"
    return sentence + (f"; or more targets: {4 * targets} would give ±{broader:.2f}" if broader < width else "")


# ---- costs


def cost_of_training(costs):
    """Return the seconds to train the models of one subset."""
    lds = costs.plan.evaluation["lds"]
    return lds["models_per_subset"] * costs.training(int(lds["fraction"] * costs.sizes.images))


def cost_of_outputs(costs):
    """Return the seconds to run every model at one target's steps."""
    lds = costs.plan.evaluation["lds"]
    steps_per_target = costs.mean(lambda name: len(costs.plan.steps_of("lds", name)), "lds")
    seconds_per_model = costs.rates.load + steps_per_target * lds["draws"] * costs.rates.call
    return lds["subsets"] * lds["models_per_subset"] * seconds_per_model


def cost_of_panels(costs):
    """Return the seconds to draw a panel for each method and target."""
    return PICTURE * len(costs.plan.methods) * len(costs.plan.targets)


# ---- stages


def trained(plan):
    """Return the training sets of the subset models, in words."""
    lds = plan.evaluation["lds"]
    counts = f"{counted(lds['subsets'], 'subset')} with {counted(lds['models_per_subset'], 'model')} each"
    return f"on random subsets (evaluation.lds: {counts})"


@stage(
    TRAININGS,
    entry="train",
    cost=cost_of_training,
    like="train",
    slurm="gpu",
    trained=trained,
    models=lambda plan: plan.evaluation["lds"]["models_per_subset"],
)
def train_subset(plan, subset):
    """The models of one random subset; further models do not change existing ones."""
    recipe = plan.recipe("train", checkpoint="full/0")
    images = {"subset": int(subset), "fraction": plan.evaluation["lds"]["fraction"]}
    return Recipe(recipe.sections, recipe.inherits, item={"images": images})


@stage(version=1, cost=START)
def list_subset_models(plan):
    """checkpoints/subset/models.json."""
    lds = {"lds": pick(plan, "subsets fraction models_per_subset")}
    subsets = [("train_subset", {"subset": j}) for j in range(plan.evaluation["lds"]["subsets"])]
    return Recipe(lds, [plan.model("full/0")], subsets)


@stage(version=1, cost=START)
def draw_subsets(plan):
    """evaluation/subsets.zarr."""
    return Recipe({"lds": pick(plan, "subsets fraction")}, plan.data())


@stage(version=1, cost=cost_of_outputs, slurm="gpu")
def subset_outputs(plan, target):
    """The outputs of the subset models for a target."""
    sections = {
        "lds": pick(plan, "models_per_subset draws") | {"steps": plan.steps_of("lds", target)},
        "attribution": plan.guidance("attribution"),
        "target": plan.mask(target),
    }
    inherits = [plan.trajectory(target), ("draw_subsets", {}), ("list_subset_models", {})]
    return Recipe(sections, inherits)


@stage(version=2, cost=START, slurm="small")
def lds_tables(plan):
    """tables/lds*.csv."""
    outputs = [("subset_outputs", {"target": target}) for target in plan.targets]
    lds = pick(plan, "models_per_subset draws checkpoints bootstrap spans")
    return Recipe({"lds": lds}, [("draw_subsets", {})], outputs + plan.all_scores())


@stage(FIGURES, cost=START, slurm="small")
def plot_lds(plan):
    """figures/lds.png."""
    return Recipe(plan.looks(), [("lds_tables", {})])


@stage(FIGURES, cost=START, slurm="small")
def plot_lds_cross(plan):
    """figures/lds_cross.png."""
    return Recipe(inherits=[("lds_tables", {})])


@stage(FIGURES, cost=cost_of_panels, slurm="small")
def plot_lds_panels(plan):
    """figures/{target}/lds/{method}.png."""
    panels = [("trajectory_panel", {"method": m, "target": t}) for m in plan.methods for t in plan.targets]
    return Recipe({}, [("lds_tables", {})], panels)


# ---- the section


def check(config, grid):
    """Refuse steps, spans, checkpoints and fractions that do not fit the rest of the configuration."""
    lds, n = config["evaluation"]["lds"], number_of_images(config)
    if grid is not None:
        check_steps(lds["steps"] or [], grid, "config: evaluation.lds.steps")
    count = config["checkpoints"]["count"]
    for first, last in lds["spans"]:
        if not any(first <= t <= last for t in lds["steps"] or config["attribution"]["steps"]):
            raise WaypointError(f"config: evaluation.lds.spans: no step of lds lies in [{first}, {last}]")
    for m in lds["checkpoints"]:
        if m > count:
            raise WaypointError(f"config: evaluation.lds.checkpoints: {m} is more than checkpoints.count {count}")
    if lds["checkpoints"] and not config["scores"]["keep_checkpoints"]:
        raise WaypointError("config: evaluation.lds.checkpoints needs scores.keep_checkpoints: true")
    if n is not None and not 1 <= math.floor(lds["fraction"] * n) < n:
        raise WaypointError(
            f"config: evaluation.lds.fraction: {lds['fraction']} of {n} training images is not a proper subset"
        )


def stores(plan):
    """Return the paths of the subsets, of the list of their models, and of the models' outputs for every target."""
    outputs = [OUTPUTS.format(target=target) for target in plan.targets]
    return ["evaluation/subsets.zarr", "checkpoints/subset/models.json", *outputs]


def panels(plan, pattern):
    """Return the path of a panel for each method and target."""
    return [pattern.format(method=method, target=target) for method in plan.methods for target in plan.targets]


EVALUATION = Evaluation(
    "Linear datamodeling score (§5.3, Fig. 4): models retrained on random subsets.",
    rules="lds",
    keys={
        "subsets": {
            "type": "integer",
            "description": "J, random subsets of the training images. Paper: 100.",
            "default": 100,
            "minimum": 2,
        },
        "fraction": {
            "type": "number",
            "description": "Share of the training images in a subset. Paper: 0.5.",
            "default": 0.5,
            "exclusiveMinimum": 0,
            "exclusiveMaximum": 1,
        },
        "models_per_subset": {
            "type": "integer",
            "description": "R, models trained per subset, whose outputs are averaged. Paper: 5.",
            "default": 5,
            "minimum": 1,
        },
        "steps": steps("Steps t at which the models' outputs are taken; null: attribution.steps. Paper: every 100."),
        "draws": {
            "type": "integer",
            "description": "Draws of ε in the outputs, the same for all models, and none of those of g_t. Paper: 20.",
            "default": 20,
            "minimum": 1,
        },
        "checkpoints": {
            "type": "array",
            "description": (
                "Also the score of the mean over only the first of these many checkpoints; needs "
                "scores.keep_checkpoints. Paper: 10 and 50."
            ),
            "default": [],
            "items": {"type": "integer", "minimum": 1},
            "uniqueItems": True,
        },
        "bootstrap": {
            "type": "integer",
            "description": "Resamplings of targets and subsets behind every interval.",
            "default": 1000,
            "minimum": 100,
        },
        "spans": {
            "type": "array",
            "description": (
                "Also compare methods over these ranges of steps: [first, last], both included. lds_comparison.csv "
                "always compares them over all steps together."
            ),
            "default": [],
            "items": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2},
            "uniqueItems": True,
        },
    },
    needs=("data", "retraining"),
    check=check,
    stores=stores,
    tables=lambda plan: [f"tables/{name}.csv" for name in TABLES],
    figures=lambda plan: ["figures/lds.png", "figures/lds_cross.png", *panels(plan, PANELS)],
    places=(OUTPUTS, PANELS),
    trainings=subset_models,
)
