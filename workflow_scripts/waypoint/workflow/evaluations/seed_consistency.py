"""Seed consistency: two models' images from the same noise (B.1)."""

from waypoint.errors import WaypointError
from waypoint.workflow.config.evaluated import chosen_targets, number_of_checkpoints
from waypoint.workflow.config.models import known_of_model
from waypoint.workflow.evaluations.evaluation import Evaluation
from waypoint.workflow.evaluations.keys import targets
from waypoint.workflow.plan.stage import FIGURES, START, Recipe, stage


def seeded_targets(plan):
    """Return id, seed, label and prompt of the evaluated targets that have a seed."""
    evaluated_rows = {plan.shared.get(name, name): plan.targets[name] for name in plan.evaluated("seed_consistency")}
    rows = [{**row, "id": name} for name, row in evaluated_rows.items() if "seed" in row]  # all masks share one image
    keys = ("id", "seed", "label", "prompt")
    return [{key: row[key] for key in keys if key in row} for row in rows]


def cost(costs):
    """Return the seconds for the images of every model."""
    section = costs.plan.evaluation["seed_consistency"]
    images = section["images"] + len(seeded_targets(costs.plan))
    return len(section["models"]) * (costs.rates.load + images * len(costs.grid) * costs.rates.single)


@stage(version=1, cost=cost, slurm="gpu")
def seed_consistency(plan):
    """Images from the same noise by the listed models."""
    settings = {key: plan.evaluation["seed_consistency"][key] for key in ("models", "images")}
    sections = {"sampling": plan.sampling(), "seed_consistency": settings, "seeded": seeded_targets(plan)}
    models = [plan.model(name) for name in settings["models"]]
    return Recipe(sections, models[:1], models[1:])


@stage(FIGURES, cost=START, slurm="small")
def plot_seed_consistency(plan):
    """figures/seed_consistency.png."""
    return Recipe(inherits=[("seed_consistency", {})])


def check(config, grid):
    """Refuse missing models, and images that no seed generates."""
    section, count = config["evaluation"]["seed_consistency"], number_of_checkpoints(config)
    for name in section["models"]:
        if int(name.split("/")[1]) >= count:
            raise WaypointError(f"config: evaluation.seed_consistency.models: {name} is not one of {count} checkpoints")
        unet = known_of_model(config, "unet", name) or {}
        if section["images"] and (unet.get("num_class_embeds") or unet.get("cross_attention_dim")):
            raise WaypointError(
                f"config: evaluation.seed_consistency.images: {name} is conditional, and further seeds have no "
                "condition; set it to 0 and use more targets"
            )
    ids = set(chosen_targets(config, "seed_consistency"))
    if isinstance(section["targets"], list):
        for row in config["targets"]:
            if row["id"] in ids and "image" in row:
                raise WaypointError(
                    f"config: evaluation.seed_consistency.targets: {row['id']} is an image, which no seed makes; "
                    "leave it out"
                )
    if not section["images"] and not any("seed" in row for row in config["targets"] if row["id"] in ids):
        raise WaypointError(
            "config: evaluation.seed_consistency: no target has a seed; set evaluation.seed_consistency.images"
        )


EVALUATION = Evaluation(
    "ℓ2 between two models' images from the same and from independent noise (B.1).",
    rules="samples",
    keys={
        "models": {
            "type": "array",
            "description": "Checkpoints compared, every pair.",
            "default": ["full/0", "full/1"],
            "items": {"type": "string", "pattern": "^full/[0-9]+$"},
            "minItems": 2,
            "uniqueItems": True,
        },
        "targets": targets("Targets whose seeds and labels are used."),
        "images": {
            "type": "integer",
            "description": (
                "Further seeds per pair beside the targets', for the distribution. Only for unconditional models."
            ),
            "default": 0,
            "minimum": 0,
        },
    },
    check=check,
    stores=lambda plan: ["evaluation/seed_consistency.zarr"],
    tables=lambda plan: ["tables/seed_consistency.csv"],
    figures=lambda plan: ["figures/seed_consistency.png"],
)
