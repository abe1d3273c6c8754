"""Controls for counterfactual and forgetting: retrained models that belong to no method."""

from waypoint.workflow.evaluations.evaluation import Evaluation

EVALUATION = Evaluation(
    "Retraining that belongs to no method.",
    rules="removals",
    optional=False,
    keys={
        "random_removals": {
            "type": "integer",
            "description": "Random sets removed per n_remove; they serve all targets.",
            "default": 3,
            "minimum": 3,
        },
        "full_models": {
            "type": "integer",
            "description": (
                "Models trained on the full set with other seeds: the baseline. They are the ensemble's own, so "
                "checkpoints.count must be larger."
            ),
            "default": 2,
            "minimum": 2,
        },
    },
)
