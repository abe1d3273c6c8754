"""How many models the evaluations of a plan will train, and how long that takes at the pace of those that are there."""

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


def trainings(plan, models, models_there):
    """One sentence about the models that evaluations will train, or an empty string where they train none.

    Args:
        plan: a ``Plan``. models: {stage: models that its jobs will train}.
        models_there: attributes of the finished models of the full set.
    """
    wanted = {stage: number for stage, number in models.items() if number and STAGES[stage].trained}
    if not wanted:
        return ""
    parts = Counter()
    for stage, number in wanted.items():
        parts[STAGES[stage].trained(plan)] += number
    listed = " and ".join(f"{parts[words]} {words}" for words in sorted(parts))
    sentence = f"the evaluations will train {counted(sum(wanted.values()), 'model')}: {listed}"
    seconds = _seconds(plan, wanted, models_there)
    if seconds is None:
        return f"{sentence}. How long that takes here: make estimate CONFIG=…"
    return f"{sentence}; about {duration(seconds)}, one after the other, at the pace of the models that are there"


def _seconds(plan, models, models_there):
    """Seconds of these trainings by the formulas of ``Costs``; None without a finished model to take the pace from."""
    stored = stored_images(plan.config)
    trained = [
        (attributes["seconds"], attributes["spec"]["train"])
        for attributes in models_there
        if attributes.get("stage") == "train"
    ]
    try:
        n = consolidated(stored)["image"]["shape"][0] if stored and trained else 0
    except (WaypointError, OSError):  # damaged: the pass at start says so
        n = 0
    if not n:
        return None
    # of one that was resumed, only the last process counted
    pace = max(seconds / (entry["training"]["epochs"] * n) for seconds, entry in trained)
    rates = {field.name: 0.0 for field in fields(Rates)} | {"train": pace}
    sizes: dict[str, Any] = {field.name: 0 for field in fields(Sizes)} | {"images": n, "T": 1000}
    costs = Costs(plan, Sizes(**sizes), Rates(**rates), set())
    return sum(number / STAGES[stage].models(plan) * costs.seconds(stage) for stage, number in models.items())
