"""A stage of the workflow: what its artifact is made of, how long its job takes, and where Slurm puts it.

A stage is a function of the plan and of the wildcards of its rule, entered in ``STAGES`` by the decorator ``stage``. It
returns a ``Recipe``:

    sections    parts of the configuration, {section: {key: value}}; exactly those that the result depends on
    inherits    stages of which this one reads one artifact; their sections become part of this stage's spec, so that
                every job can compare its own spec with that of what it opens
    reads       stages of which it reads several artifacts; they enter by their identities alone
    item        what tells this artifact from others of its stage, where that is no business of its readers: they record
                the hash of what they read
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

STAGES = {}
FIGURES = 9  # the version of every figure
TRAININGS = 1  # of every training: models of subsets are compared with those of the full set, so all have the same
SLURM = {  # classes of jobs
    "small": "jobs of seconds, many to a submission",
    "panel": "the same, of pictures of one target",
    "matrices": "large matrices in float64; a line in slurm/config.yaml says how much memory",
    "gpu": "jobs that need a GPU; a line in slurm/config.yaml says where",
}
Reference = tuple[str, dict[str, Any]]  # a stage's name and wildcards: one artifact


def START(costs):
    """The cost of a job that takes no longer than its start: no further seconds."""
    return 0.0


@dataclass(frozen=True)
class Recipe:
    """The settings and the artifacts that an artifact is made of."""

    sections: dict[str, Any] = field(default_factory=dict)
    inherits: list[Reference] = field(default_factory=list)
    reads: list[Reference] = field(default_factory=list)
    item: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A row of the table.

    Attributes:
        recipe: (plan, **wildcards) → Recipe.
        version: raised whenever the stage computes something else.
        read_as: the version that its readers go by, where later ones only store more beside what is read; else None.
        entry: the name of the stage's entry in specs: models of random subsets are made by the recipe of ``train``.
        wildcards: names, as rules have them.
        cost: seconds of a job beyond its start, from ``estimate.costs.Costs``; None: nobody has said.
        uncounted: what its jobs do, where that is known to take long but nothing tells how long.
        like: the stage whose jobs hold as much memory; None: only their imports, or as ``estimate.memory`` says.
        slurm: of ``SLURM``; None: no class.
        trained: (plan) → what models are trained on that an evaluation needs, in words that stand after their number;
            None: it trains none.
        models: (plan) → how many of them a job trains.
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


def stage(version, entry=None, read_as=None, **more):
    """Enter a function into ``STAGES`` under its name.

    Args:
        more: further attributes of ``Stage``.
    """

    def enter(recipe):
        _, *names = inspect.signature(recipe).parameters
        STAGES[recipe.__name__] = Stage(recipe, version, entry or recipe.__name__, tuple(names), read_as, **more)
        return recipe

    return enter
