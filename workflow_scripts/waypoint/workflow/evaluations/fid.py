"""The features in the Fréchet distance of counterfactual."""

import os
from pathlib import Path

from waypoint.store.networks.inception import require_weights
from waypoint.workflow.evaluations.evaluation import Evaluation

INCEPTION = "pt_inception-2015-12-05-6726825d.pth"  # the weights of pytorch-fid
DIMENSIONS = 2048  # features of its last layer


def fid_section(plan):
    """Return the section ``fid`` of a spec; a classifier has its own section."""
    fid = plan.evaluation["fid"]
    if fid["features"] == "classifier":
        return {"features": "classifier"}
    return {"features": "inception", "sha256": fid["sha256"], "dims": fid["dims"] or DIMENSIONS}


def network(plan):
    """Return the classifier whose features are compared, as a list of one artifact or none."""
    classified = plan.evaluation["fid"]["features"] == "classifier"
    return [("train_classifier", {"kind": "standard"})] if classified else []


def dimensions(config):
    """Return the number of features of an image, and advice on how to lower it."""
    fid = config["evaluation"]["fid"]
    if fid["features"] == "classifier":
        return 4 * config["evaluation"]["classifier"]["width"], "lower evaluation.classifier.width"
    return fid["dims"] or DIMENSIONS, "lower evaluation.fid.dims"


def weights_of(fid):
    """Return the expected path of Inception's weights: evaluation.fid.weights, or a file in torch's cache."""
    if fid["weights"] is not None:
        return fid["weights"]
    home = os.environ.get("TORCH_HOME", Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch"))
    return str(Path(home, "hub", "checkpoints", INCEPTION).expanduser())


def needed_weights(plan):
    """Return the path of Inception's weights, or an empty list if none are needed."""
    is_needed = plan.evaluation["counterfactual"] and plan.evaluation["fid"]["features"] == "inception"
    return weights_of(plan.evaluation["fid"]) if is_needed else []


def require_fid_weights(plan):
    """Refuse missing or different Inception weights, if needed, before hours of training.

    Raises:
        WaypointError: names the key, the file and the alternative.
    """
    if needed_weights(plan):
        require_weights(weights_of(plan.evaluation["fid"]), plan.evaluation["fid"]["sha256"])


EVALUATION = Evaluation(
    "Features of which the counterfactual's Fréchet distance is taken.",
    rules="removals",
    optional=False,
    keys={
        "features": {
            "type": "string",
            "description": (
                "pytorch-fid's Inception, or a classifier that is trained on the labelled data; the latter's distance "
                "is no FID and is not called one."
            ),
            "default": "inception",
            "enum": ["inception", "classifier"],
        },
        "weights": {
            "type": ["string", "null"],
            "format": "path",
            "description": "File of the Inception weights; null: pytorch-fid's file in torch's own cache.",
            "default": None,
            "minLength": 1,
        },
        "sha256": {
            "type": "string",
            "description": (
                "SHA-256 of that file, or its beginning. Default: pytorch-fid's published weights; others are named "
                "by theirs in the tables."
            ),
            "default": "6726825d",
            "pattern": "^[0-9a-f]{8,64}$",
        },
        "dims": {
            "type": ["integer", "null"],
            "description": (
                "Inception's feature dimensions: 64, 192, 768 or 2048. With fewer images than dimensions a covariance "
                "is singular, so that is refused. null: 2048."
            ),
            "default": None,
            "enum": [64, 192, 768, 2048, None],
        },
    },
)
