"""Image-text preference: the share of samples that are nearer to the first of two captions (B.6).

The stages of ``likelihood`` compute it too, and its rows are in the same table.
"""

from waypoint.errors import WaypointError
from waypoint.workflow.config.evaluated import chosen_targets
from waypoint.workflow.evaluations.evaluation import Evaluation
from waypoint.workflow.evaluations.likelihood import figures, tables


def check(config, grid):
    """Refuse an encoder without text, and captions of targets that have no samples."""
    section, prefix = config["evaluation"]["caption_likelihood"], "config: evaluation.caption_likelihood"
    encoder = config["image_encoders"].get(section["encoder"])
    if encoder is None or encoder["kind"] != "clip":
        raise WaypointError(f"{prefix}.encoder: {section['encoder']} is not in image_encoders with kind clip")
    ids = chosen_targets(config, "samples")
    for name in section["captions"]:
        if name not in ids:
            raise WaypointError(f"{prefix}.captions: {name!r} is not a target of evaluation.samples")


EVALUATION = Evaluation(
    "Image-text preference (B.6): share of the samples that an image-text model puts nearer to the first of two "
    "captions than to the second. Needs evaluation.samples.",
    rules="likelihood",
    keys={
        "encoder": {
            "type": "string",
            "description": "The image-text model: a name of image_encoders, of kind clip.",
            "pattern": "^[a-z0-9-]+$",
        },
        "captions": {
            "type": "object",
            "description": "{target: [first, second]}. Paper: a white against a dark blouse.",
            "additionalProperties": {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "minItems": 2,
                "maxItems": 2,
                "uniqueItems": True,
            },
            "minProperties": 1,
        },
    },
    required=("encoder", "captions"),
    needs=("samples",),
    check=check,
    tables=tables,
    figures=figures,
)
