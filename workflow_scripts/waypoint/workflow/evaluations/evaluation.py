"""The declaration of an evaluation. Each evaluation is one file of this folder, named as its config section is.

To add one, write its file here, its rules, its scripts and a caption. The file holds ``EVALUATION`` and the stages of
its rules (``plan/stage.py``), and nothing else names the evaluation: the schema and its defaults, the checks of
configurations, the rule files that the Snakefile includes, the named targets, specs, the estimate of costs, the classes
of Slurm and what needs training images follow from it. A test compares the table in docs/evaluations.md with it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from waypoint.errors import WaypointError

NEEDS = {  # what an evaluation may need, in the words of docs/evaluations.md
    "data": "training images",
    "retraining": "models that are trained for it",
    "labels": "labels",
    "samples": "`evaluation.samples`",
    "checkpoints": "`scores.keep_checkpoints`",
}


def nothing(plan) -> list:
    """An empty list of paths, models or methods, the default of an evaluation."""
    return []


@dataclass(frozen=True)
class Evaluation:
    """One section of the config section ``evaluation``.

    Paths are within the experiment: figures/x.png.

    Attributes:
        description: what it asks; the schema's words for the section.
        rules: its file in rules/, without .smk; several evaluations may share one.
        keys: {key: JSON schema with description and default}. required: those without a default.
        optional: whether it is left out where the section is; else the section holds settings that others read, and
            is always there.
        needs: keys of ``NEEDS``.
        check: (configuration with defaults, sampling grid or None) → refuses by ``WaypointError`` what can be known.
        by_target: keys whose values are mappings of targets; an image's id there means all of its masks.
        stores, tables, figures: (plan) → paths that it makes, where the configuration has it.
        places: those of what it makes of every {target}, or {method} and {target}: others are no place to ask for.
        trainings: (plan) → names of the models that are trained for it.
        methods: (configuration) → names of methods whose scores it needs, whether they are listed or not.
    """

    description: str
    rules: str
    keys: Mapping[str, Any] = field(default_factory=dict)
    required: Sequence[str] = ()
    optional: bool = True
    needs: Sequence[str] = ()
    check: Callable[[Mapping, Sequence | None], None] = lambda config, grid: None
    by_target: Sequence[str] = ()
    stores: Callable[[Any], list[str]] = nothing
    tables: Callable[[Any], list[str]] = nothing
    figures: Callable[[Any], list[str]] = nothing
    places: Sequence[str] = ()
    trainings: Callable[[Any], list[str]] = nothing
    methods: Callable[[Mapping], Sequence[str]] = nothing

    @property
    def schema(self) -> dict:
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
        """Its row in docs/evaluations.md.

        Args:
            name: of the evaluation.
        """
        needs = ", ".join(NEEDS[need] for need in self.needs) or "–"
        asks = self.description.replace("|", r"\|")
        return f"| `{name}` | {asks} | {needs} | `rules/{self.rules}.smk` |"

    def require(self, config, name):
        """Refuse a configuration without what this evaluation needs of it.

        Args:
            name: of the evaluation.

        Raises:
            WaypointError: names the key.
        """
        given = config["checkpoints"]
        if "retraining" in self.needs and "count" not in given:
            raise WaypointError(
                f"config: evaluation.{name} retrains models as the ensemble was trained, "
                f"so it needs checkpoints.count instead of checkpoints.{'adapters' if 'base' in given else 'paths'}"
            )
        if "samples" in self.needs and not config["evaluation"]["samples"]:
            raise WaypointError(f"config: evaluation.{name} needs the section evaluation.samples")
        if "checkpoints" in self.needs and not config["scores"]["keep_checkpoints"]:
            raise WaypointError(f"config: evaluation.{name} needs scores.keep_checkpoints: true")
