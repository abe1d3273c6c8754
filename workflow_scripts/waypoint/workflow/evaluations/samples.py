"""Samples of p(·|x_t), and a check of the one-step estimate x̂0_t against their mean."""

from waypoint.science.timesteps import check_steps
from waypoint.workflow.config.evaluated import chosen_targets
from waypoint.workflow.evaluations.evaluation import Evaluation
from waypoint.workflow.evaluations.keys import steps, targets
from waypoint.workflow.plan.stage import FIGURES, START, Recipe, stage


def chosen_samples(plan, ids):
    """Return the samples of p(·|x_t) that an evaluation uses: their number, and the steps of each target."""
    by_target = {target: plan.steps_of("samples", target) for target in ids}
    return {"number": plan.evaluation["samples"]["number"], "chosen": by_target}


@stage(version=1, cost=START, slurm="small")
def one_step_error(plan):
    """tables/one_step_error.csv."""
    ids = plan.evaluated("samples")
    reads = [artifact for t in ids for artifact in (("sample_from_x_t", {"target": t}), plan.trajectory(t))]
    return Recipe({"samples": chosen_samples(plan, ids)}, plan.data(), reads)


@stage(FIGURES, cost=START, slurm="small")
def plot_one_step_error(plan):
    """figures/one_step_error.png."""
    return Recipe(inherits=[("one_step_error", {})])


def check(config, grid):
    """Refuse unknown targets, and steps that are not on the grid."""
    chosen_targets(config, "samples")
    if grid is not None:
        check_steps(config["evaluation"]["samples"]["steps"] or [], grid, "config: evaluation.samples.steps")


EVALUATION = Evaluation(
    "Samples of p(·|x_t), and the check of x̂0_t against their mean.",
    rules="samples",
    keys={
        "targets": targets("Targets."),
        "steps": steps("Steps t at which the chain is restarted; null: attribution.steps."),
        "number": {
            "type": "integer",
            "description": "Samples per step. Paper: 60 (B.6).",
            "default": 60,
            "minimum": 2,
        },
    },
    check=check,
    stores=lambda plan: [f"targets/{target}/samples.zarr" for target in plan.evaluated("samples")],
    tables=lambda plan: ["tables/one_step_error.csv"],
    figures=lambda plan: ["figures/one_step_error.png"],
)
