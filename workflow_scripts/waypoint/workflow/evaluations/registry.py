"""All evaluations by name. An evaluation is a file in this folder with ``EVALUATION`` in it; see ``evaluation.py``."""

import importlib
import pkgutil

import waypoint.workflow.evaluations as folder


def load_evaluations():
    """Return {name: ``Evaluation``} of the folder's files, sorted by name, and enter their stages in ``STAGES``."""
    names = sorted(name for _, name, _ in pkgutil.iter_modules(folder.__path__))
    modules = {name: importlib.import_module(f"{folder.__name__}.{name}") for name in names if name != "registry"}
    return {name: module.EVALUATION for name, module in modules.items() if hasattr(module, "EVALUATION")}


EVALUATIONS = load_evaluations()


def asked(config):
    """Return {name: ``Evaluation``} of the evaluations in a complete configuration."""
    return {name: evaluation for name, evaluation in EVALUATIONS.items() if config["evaluation"][name] is not None}


def check_evaluations(config, grid):
    """Refuse evaluations that contradict the rest of the configuration or each other.

    Args:
        grid: the sampling grid, or None if planning cannot know it.

    Raises:
        WaypointError: names the key.
    """
    evaluations = asked(config)
    for name, evaluation in evaluations.items():
        evaluation.require(config, name)
    for evaluation in evaluations.values():
        evaluation.check(config, grid)
