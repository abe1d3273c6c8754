"""The attribution methods in one table: what each reads, what its scores are like, how it looks and what it costs.

A method is whatever writes scores/{method}/{target}.zarr. To add one, write workflow_scripts/scores/score_{kind}.py and
its row here. The rule, the stage, the paths, the checks of configurations, the looks in figures and the estimate of
costs follow from the row. A script gets an option for everything that its row reads, and ``--method``, ``--target`` and
``--out``.

A row is a *kind*. A configuration may name several methods of one kind, with settings of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ENCODER, IMPORTED = "encoder", "imported"  # kinds that configurations do not name: see ``config/method_settings``
KERNEL_KEYS = {"features": ("damping",)}  # {what a kernel is made from: its settings}


@dataclass(frozen=True)
class Look:
    """How figures show a method: nothing is told by its colour alone."""

    color: str
    marker: str
    hatch: str


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        name: the kind, as configurations have it. label: what it is, in a few words.
        reads: what its script is handed (keys of ``plan/method_inputs.READS``).
        look: in figures; None: methods of this kind have names of their own, and take looks in turn.
        per_step: whether scores differ from step to step; else every step has the same row.
        error: whether there is a standard error over checkpoints.
        by_checkpoint: whether every checkpoint's scores are kept on request.
        basis: of its features and gradients; None: it reads none.
        kernel: what its kernel is made from, a key of ``KERNEL_KEYS``; None: it has none.
        settings: what its scores depend on in the configuration: sections, or section.key.
        own: further keys that a method of this kind may have in the section ``methods``.
        control: whether it is what others must beat, and stands last.
        one_pass: whether one job scores all targets that wait (``jobs/features_pass``).
        cost: seconds of a job beyond its start, from ``estimate.costs.Costs``.
        slurm: small (jobs of seconds, many to a submission) or gpu (needs one, and a line in slurm/config.yaml).
        version: raised whenever the scores become others.
        stage: of its scores, also its rule and its script; default score_{name}.
    """

    name: str
    label: str
    reads: tuple[str, ...]
    look: Look | None = None
    per_step: bool = True
    error: bool = False
    by_checkpoint: bool = False
    basis: str | None = None
    kernel: str | None = None
    settings: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    control: bool = False
    one_pass: bool = False
    cost: Callable[[Any], float] = lambda costs: 0.0
    slurm: str = "small"
    version: int = 1
    stage: str = ""

    def __post_init__(self):
        if not self.stage:
            object.__setattr__(self, "stage", f"score_{self.name.replace('-', '_')}")

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys that a method of this kind may have in the section ``methods``."""
        return ("kernel",) * bool(self.kernel) + ("of",) * ("scores" in self.reads) + self.own


def pass_over_features(costs) -> float:
    """Seconds to read the features of all checkpoints once, with one product per step."""
    return costs.models * costs.sizes.images * costs.config["projection"]["dim"] * costs.rates.score


def kernel_products(costs) -> float:
    """The same, with K⁻¹g of every step."""
    k = min(costs.sizes.images, costs.config["projection"]["dim"])
    return pass_over_features(costs) + costs.models * k**2 * costs.steps() * costs.rates.product


ROWS = [
    Method(
        "trak",
        "Algorithm 1",
        reads=("gradients", "features", "kernels"),
        look=Look("#0072B2", "o", ""),
        error=True,
        by_checkpoint=True,
        basis="plain",
        kernel="features",
        settings=("scores",),
        one_pass=True,
        cost=kernel_products,
    ),
    Method(
        "trak-sum",
        "the scores of all steps in one, each step weighted by 1/sd of its scores",
        reads=("scores",),
        look=Look("#56B4E9", "s", "//"),
        per_step=False,
    ),
    Method(
        "graddot",
        "⟨φ_i, g_t⟩: trak without its kernel",
        reads=("gradients", "features"),
        look=Look("#117733", "p", "/o"),
        error=True,
        by_checkpoint=True,
        basis="plain",
        settings=("scores",),
        one_pass=True,
        cost=pass_over_features,
    ),
    Method(
        "gradcos",
        "cosine of φ_i and g_t",
        reads=("gradients", "features"),
        look=Look("#AA4499", "d", "-."),
        error=True,
        by_checkpoint=True,
        basis="plain",
        settings=("scores",),
        one_pass=True,
        cost=pass_over_features,
    ),
    Method(
        "pixel",
        "cosine with the final image, or with x̂0_t",
        reads=("data", "trajectory", "vae"),
        look=Look("#E69F00", "^", ".."),
        settings=("pixel",),
    ),
    Method(
        ENCODER,
        "cosine with the final image in an image encoder's space",
        reads=("embeddings", "trajectory"),
        per_step=False,
        slurm="gpu",
    ),
    Method(IMPORTED, "scores from elsewhere", reads=("data", "source"), own=("scores",), stage="import_scores"),
    Method(
        "norm",
        "‖φ_i‖, blind to the target",
        reads=("features",),
        look=Look("#CC79A7", "v", "xx"),
        per_step=False,
        error=True,
        basis="plain",
        control=True,
    ),
    Method("random", "random scores", reads=("data",), look=Look("#777777", "x", "--"), control=True),
]
# image encoders are named by the user; this name has a look of its own
LOOKS = {row.name: row.look for row in ROWS if row.look} | {"clip": Look("#D55E00", "D", "++")}
METHODS = {row.name: row for row in ROWS}
NAMED = [row.name for row in ROWS if row.name not in (ENCODER, IMPORTED)]  # what configurations call methods by
