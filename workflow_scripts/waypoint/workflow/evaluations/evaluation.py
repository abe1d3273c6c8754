"""The declaration of an evaluation. Each evaluation is a file in this folder, named after its configuration section.

To add one, write its file, its rules, its scripts and a caption. The file holds ``EVALUATION`` and the stages of its
rules (``plan/stage.py``); nothing else names the evaluation. The schema and its defaults, the configuration checks, the
rule files that the Snakefile includes, the named targets, the specs, the cost estimate, the Slurm classes and the need
for training images follow from it. A test compares the table in docs/evaluations.md with it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from waypoint.errors import WaypointError
from waypoint.workflow.types import Config

if TYPE_CHECKING:  # a plan imports the evaluations
    from waypoint.workflow.plan.plan import Plan

NEEDS = {  # {need of an evaluation: its words in docs/evaluations.md}
    "data": "training images",
    "retraining": "models that are trained for it",
    "labels": "labels",
    "samples": "`evaluation.samples`",
    "checkpoints": "`scores.keep_checkpoints`",
}


def nothing(plan: object) -> list[str]:
    """Return an empty list of paths, models or methods, the default of an evaluation."""
    return []


@dataclass(frozen=True)
class Evaluation:
    """A section of the configuration section ``evaluation``.

    Paths are relative to the experiment: figures/x.png.

    Attributes:
        description: the question that it answers, also the description in the schema.
        rules: its file in rules/, without .smk; several evaluations may share one.
        keys: {key: JSON schema with description and default}. required: keys without a default.
        optional: whether omitting the section omits the evaluation; otherwise the section holds settings for other
            evaluations and always exists.
        needs: keys of ``NEEDS``.
        check: (complete configuration, sampling grid or None) → None; refuses mistakes with a ``WaypointError``.
        by_target: keys whose values are mappings by target, in which an image's id means all of its masks.
        stores, tables, figures: (plan) → paths of its outputs if the configuration includes it.
        places: patterns of its outputs with {target}, or {method} and {target}, whose values in requests are checked.
        trainings: (plan) → names of the models that are trained for it.
        methods: (configuration) → names of the methods whose scores it needs, listed or not.
    """

    description: str
    rules: str
    keys: Mapping[str, Config] = field(default_factory=dict)
    required: Sequence[str] = ()
    optional: bool = True
    needs: Sequence[str] = ()
    check: Callable[[Config, Sequence[int] | None], None] = lambda config, grid: None
    by_target: Sequence[str] = ()
    stores: Callable[["Plan"], list[str]] = nothing
    tables: Callable[["Plan"], list[str]] = nothing
    figures: Callable[["Plan"], list[str]] = nothing
    places: Sequence[str] = ()
    trainings: Callable[["Plan"], list[str]] = nothing
    methods: Callable[[Config], Sequence[str]] = nothing

    @property
    def schema(self) -> Config:
        """The JSON schema of its section."""
        required = {"required": list(self.required)} if self.required else {}
        return {
            "type": ["object", "null"] if self.optional else "object",
            "description": self.description,
            "additionalProperties": False,
            "properties": dict(self.keys),
            **required,
            "default": None if self.optional else {},
        }

    def row(self, name) -> str:
        """Return its row in docs/evaluations.md.

        Args:
            name: the evaluation's name.
        """
        needs = ", ".join(NEEDS[need] for need in self.needs) or "–"
        question = self.description.replace("|", r"\|")
        return f"| `{name}` | {question} | {needs} | `rules/{self.rules}.smk` |"

    def require(self, config, name):
        """Refuse a configuration that lacks what this evaluation needs.

        Args:
            name: the evaluation's name.

        Raises:
            WaypointError: names the key.
        """
        section = config["checkpoints"]
        if "retraining" in self.needs and "count" not in section:
            raise WaypointError(
                f"config: evaluation.{name} retrains models as the ensemble was trained, "
                f"so it needs checkpoints.count instead of checkpoints.{'adapters' if 'base' in section else 'paths'}"
            )
        if "samples" in self.needs and not config["evaluation"]["samples"]:
            raise WaypointError(f"config: evaluation.{name} needs the section evaluation.samples")
        if "checkpoints" in self.needs and not config["scores"]["keep_checkpoints"]:
            raise WaypointError(f"config: evaluation.{name} needs scores.keep_checkpoints: true")
