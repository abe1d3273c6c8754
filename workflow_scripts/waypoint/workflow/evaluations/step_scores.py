"""Scores that differ from step to step, for the evaluations that compare steps."""

from waypoint.errors import WaypointError
from waypoint.workflow.config.method_settings import step_methods


def methods_by_step(plan):
    """Return the methods whose scores differ from step to step."""
    return step_methods(plan.config)


def step_scores(plan):
    """Return the scores that differ from step to step, as artifacts."""
    return [plan.score(method, target) for method in methods_by_step(plan) for target in plan.targets]


def check_methods(config, section):
    """Refuse to compare steps if all methods have the same scores at every step.

    Raises:
        WaypointError: names the key.
    """
    if not step_methods(config):
        raise WaypointError(
            f"config: evaluation.{section} compares steps, but {' and '.join(config['methods'])} have the same "
            "scores at every step; add another method"
        )


def steps_by_target(config):
    """Return the attributed steps of every target, as sets."""
    return [set(target.get("steps", config["attribution"]["steps"])) for target in config["targets"]]
