"""A stage of the workflow: the inputs of its artifact, the duration of its job, and its Slurm class.

A stage is a function of the plan and of the wildcards of its rule, entered in ``STAGES`` by the decorator ``stage``. It
returns a ``Recipe``:

    sections    parts of the configuration, {section: {key: value}}: exactly those that the result depends on
    inherits    stages of which this one reads one artifact; their sections become part of this stage's spec, so that
                every job can compare its own spec with those of the artifacts that it opens
    reads       stages of which it reads several artifacts; only their identities count
    item        settings that distinguish this artifact from others of its stage but do not concern its readers, which
                record the hash of what they read
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

STAGES = {}
FIGURES = 10  # the version of every figure
TRAININGS = 1  # the version of every training, since models of subsets are compared with those of the full set
SLURM = {  # {class of jobs: description}
    "small": "jobs of seconds, many to a submission",
    "panel": "the same, of pictures of one target",
    "matrices": "large matrices in float64; a line in slurm/config.yaml says how much memory",
    "gpu": "jobs that need a GPU; a line in slurm/config.yaml says where",
}
Reference = tuple[str, dict[str, Any]]  # a stage's name and wildcards, which identify one artifact


def START(costs):
    """Return the cost of a job whose work takes no time beyond its start-up: 0 seconds."""
    return 0.0


@dataclass(frozen=True)
class Recipe:
    """The settings and artifacts that determine an artifact."""

    sections: dict[str, Any] = field(default_factory=dict)
    inherits: list[Reference] = field(default_factory=list)
    reads: list[Reference] = field(default_factory=list)
    item: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A row of the table ``STAGES``.

    Attributes:
        recipe: (plan, **wildcards) → Recipe.
        version: raised whenever the stage computes something else.
        read_as: the version that its readers compare if later versions only store more besides; otherwise None.
        entry: the name of the stage's entry in specs; models of random subsets share the entry ``train``.
        wildcards: the names of its rule's wildcards.
        cost: seconds of a job beyond its start-up, from ``estimate.costs.Costs``; None: unknown.
        uncounted: the work of its jobs if it takes long but cannot be estimated.
        like: a stage whose jobs need as much memory; None: only their imports, or as ``estimate.memory`` says.
        slurm: a key of ``SLURM``; None: no class.
        trained: (plan) → what an evaluation's models are trained on, in words that follow their number; None: it trains
            no models for an evaluation.
        models: (plan) → the number of models that a job trains.
    """

    recipe: Callable[..., Recipe]
    version: int
    entry: str
    wildcards: tuple[str, ...]
    read_as: int | None = None
    cost: Callable[[Any], float] | None = None
    uncounted: str | None = None
    like: str | None = None
    slurm: str | None = None
    trained: Callable[[Any], str] | None = None
    models: Callable[[Any], int] = lambda plan: 1


def stage(version, entry=None, read_as=None, **attributes):
    """Enter a function into ``STAGES`` under its name.

    Args:
        attributes: further attributes of ``Stage``.
    """

    def enter(recipe):
        _, *names = inspect.signature(recipe).parameters
        STAGES[recipe.__name__] = Stage(recipe, version, entry or recipe.__name__, tuple(names), read_as, **attributes)
        return recipe

    return enter
