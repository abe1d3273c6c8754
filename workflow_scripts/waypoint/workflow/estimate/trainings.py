"""The number of models that a plan's evaluations will train, and how long that takes at the pace of finished ones."""

from collections import Counter
from dataclasses import fields
from typing import Any

from waypoint.errors import WaypointError
from waypoint.store.artifacts.provenance import consolidated
from waypoint.workflow.config.shared_stores import stored_images
from waypoint.workflow.estimate.costs import Costs, Rates, Sizes
from waypoint.workflow.plan.reruns import duration
from waypoint.workflow.plan.stages import STAGES
from waypoint.workflow.words import counted


def trainings(plan, models, finished_models):
    """Return a sentence about the models that evaluations will train, or an empty string if they train none.

    Args:
        plan: a ``Plan``. models: {stage: number of models that its jobs will train}.
        finished_models: attributes of the finished models of the full set.
    """
    evaluation_models = {stage: number for stage, number in models.items() if number and STAGES[stage].trained}
    if not evaluation_models:
        return ""
    parts = Counter()
    for stage, number in evaluation_models.items():
        parts[STAGES[stage].trained(plan)] += number
    kinds = " and ".join(f"{parts[words]} {words}" for words in sorted(parts))
    sentence = f"the evaluations will train {counted(sum(evaluation_models.values()), 'model')}: {kinds}"
    seconds = _seconds(plan, evaluation_models, finished_models)
    if seconds is None:
        return f"{sentence}. To estimate how long that takes here: make estimate CONFIG=…"
    return f"{sentence}; about {duration(seconds)}, one after the other, at the pace of the existing models"


def _seconds(plan, models, finished_models):
    """Return the seconds of these trainings by the formulas of ``Costs``, or None without a finished model."""
    stored = stored_images(plan.config)
    trained = [
        (attributes["seconds"], attributes["spec"]["train"])
        for attributes in finished_models
        if attributes.get("stage") == "train"
    ]
    try:
        n = consolidated(stored)["image"]["shape"][0] if stored and trained else 0
    except (WaypointError, OSError):  # damaged, as the checks at the start of the run report
        n = 0
    if not n:
        return None
    # the slowest: a resumed training recorded its last process alone
    pace = max(seconds / (entry["training"]["epochs"] * n) for seconds, entry in trained)
    rates = {field.name: 0.0 for field in fields(Rates)} | {"train": pace}
    sizes: dict[str, Any] = {field.name: 0 for field in fields(Sizes)} | {"images": n, "T": 1000}
    costs = Costs(plan, Sizes(**sizes), Rates(**rates), set())
    return sum(number / STAGES[stage].models(plan) * costs.seconds(stage) for stage, number in models.items())
