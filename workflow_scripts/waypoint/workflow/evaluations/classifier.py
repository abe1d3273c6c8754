"""The classifiers of the labelled data: one trained normally, one adversarially (B.10)."""

from waypoint.workflow.evaluations.evaluation import Evaluation
from waypoint.workflow.plan.stage import Recipe, stage

KINDS = ("standard", "robust")
OF_ROBUST = ("radius", "attack_steps")  # keys for adversarial training only


@stage(version=1, uncounted="training classifiers", slurm="gpu")
def train_classifier(plan, kind):
    """A standard or robust classifier of the training images."""
    section = dict(plan.evaluation["classifier"])
    if kind == "standard":
        section = {key: value for key, value in section.items() if key not in OF_ROBUST}
    return Recipe({}, plan.data(), item={"classifier": {kind: section}})


def _number(description, default, **limits):
    kind = "integer" if isinstance(default, int) else "number"
    return {"type": kind, "description": description, "default": default, **limits}


EVALUATION = Evaluation(
    "The classifiers that are trained on the labelled data: one normally, one adversarially (B.10).",
    rules="likelihood",
    optional=False,
    keys={
        "epochs": _number("Passes over the labelled images.", 30, minimum=1),
        "batch_size": _number("Images per optimiser step.", 64, minimum=1),
        "learning_rate": _number("Start of the cosine schedule, which ends at 0.", 0.002, exclusiveMinimum=0),
        "width": _number("Channels of the first block; the features are four times as many.", 16, minimum=1),
        "holdout": _number(
            "Share of the images kept back, on which the accuracy is measured.",
            0.1,
            exclusiveMinimum=0,
            exclusiveMaximum=1,
        ),
        "radius": _number(
            "Adversarial training: largest change of a pixel (ℓ∞), images lying in [-1, 1].", 0.1, exclusiveMinimum=0
        ),
        "attack_steps": _number("Adversarial training: steps of projected gradient descent.", 5, minimum=1),
    },
)
