"""The attribution methods in one table: what each reads, properties of its scores, its look in figures and its cost.

A method is whatever writes scores/{method}/{target}.zarr. To add one, write workflow_scripts/scores/score_{kind}.py and
its row here. The rule, the stage, the paths, the checks of configurations, the looks in figures and the estimate of
costs follow from the row. A script gets an option for everything that its row reads, and ``--method``, ``--target`` and
``--out``.

A row is a *kind*. A configuration may name several methods of one kind, with settings of their own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from waypoint.workflow.plan.stage import START

ENCODER, IMPORTED = "encoder", "imported"  # kinds that configurations do not name: see ``config/method_settings``
# {what a kernel is made from: its settings}; a method without one has none
KERNEL_KEYS: Mapping[str | None, tuple[str, ...]] = {"features": ("damping",), "fisher": ("rows", "damping")}


@dataclass(frozen=True)
class Look:
    """The look of a method in figures; colour is never the only difference."""

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
        kernel_settings: defaults of its kernel's settings; those that are not here have the section ``kernel``'s.
        settings: what its scores depend on in the configuration: sections, or section.key.
        own: further keys that a method of this kind may have in the section ``methods``, as JSON schema.
        sections: sections of the configuration that are its own, as JSON schema.
        control: whether it is what others must beat, and stands last.
        one_pass: whether one job scores all targets that wait (``jobs/features_pass``).
        cost: seconds of a job beyond its start, from ``estimate.costs.Costs``.
        slurm: small (jobs of seconds, many to a submission), matrices (large ones in float64) or gpu (needs one); the
            latter two have a line in slurm/config.yaml.
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
    kernel_settings: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    own: Mapping[str, Any] = field(default_factory=dict)
    sections: Mapping[str, Any] = field(default_factory=dict)
    control: bool = False
    one_pass: bool = False
    cost: Callable[[Any], float] = START
    slurm: str = "small"
    version: int = 1
    stage: str = ""

    def __post_init__(self):
        if not self.stage:
            object.__setattr__(self, "stage", f"score_{self.name.replace('-', '_')}")

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys that a method of this kind may have in the section ``methods``."""
        return ("kernel",) * bool(self.kernel) + tuple(self.own)


def pass_over_features(costs) -> float:
    """Seconds to read the features of all checkpoints once, with one product per step."""
    return costs.models * costs.sizes.images * costs.dim * costs.rates.score


def kernel_products(costs) -> float:
    """The same, with K⁻¹g of every step."""
    k = min(costs.sizes.images, costs.dim)
    return pass_over_features(costs) + costs.models * k**2 * costs.steps() * costs.rates.product


def fisher_products(costs, basis="plain") -> float:
    """The same, with a kernel of Fisher rows, which are read twice where they are fewer than the dimensions."""
    rows, d = costs.plan.fisher_rows(basis), costs.dim
    solving = d**2 if rows >= d else rows**2 + 2 * rows * d
    return pass_over_features(costs) + costs.models * solving * costs.steps() * costs.rates.product


def gaussians(costs) -> float:
    """Seconds of a covariance of N vectors of D numbers, its eigenvectors, and f_t without every image; no masks."""
    n, size = costs.sizes.images, costs.sizes.inputs
    # half of a symmetric product, a change of basis, and what eigenvectors take: 3.0 and 3.3 for D = 1,728 and 768
    products = n * size**2 * 3 / 2 + 3 * size**3
    # 200: f_t goes some twenty times through rows of D numbers, which takes longer than to multiply them
    work = (products + costs.steps() * n * size * 200) * costs.rates.product
    # the noise schedule comes from the library of models
    return costs.rates.start - costs.rates.light_start + work


PIXEL = {
    "type": "object",
    "description": "The pixel-similarity baseline (§5.1).",
    "additionalProperties": False,
    "properties": {
        "against": {
            "type": "string",
            "description": "Compare training images with the final image, or with x̂0_t at each step.",
            "default": "image",
            "enum": ["image", "x0_hat"],
        }
    },
    "default": {},
}
FOLDER = {
    "type": "string",
    "format": "path",
    "description": (
        "Scores of your own: a folder with {target}.zarr for every target, variable score (step, train) and, where "
        "there is one, score_se, as xarray writes them."
    ),
    "minLength": 1,
}
ROWS = [
    Method(
        "ekfac",
        "trak in the eigenbasis of the Fisher matrix of the network's output, whitened, with a Fisher kernel there",
        reads=("gradients", "features", "kernels", "fisher"),
        look=Look("#009E73", "H", "\\|"),
        error=True,
        by_checkpoint=True,
        basis="ekfac",
        kernel="fisher",
        kernel_settings={"rows": 2048, "damping": 10.0},
        settings=("scores",),
        one_pass=True,
        cost=partial(fisher_products, basis="ekfac"),
    ),
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
        "fisher",
        "trak with the Fisher matrix of the network's output instead of ΦᵀΦ",
        reads=("gradients", "features", "kernels", "fisher"),
        look=Look("#332211", "8", "--o"),
        error=True,
        by_checkpoint=True,
        basis="plain",
        kernel="fisher",
        kernel_settings={"rows": 2048, "damping": 0.3},
        settings=("scores",),
        one_pass=True,
        cost=fisher_products,
    ),
    Method(
        "diagonal",
        "gradients whitened by the diagonal of the Fisher matrix of the network's output, without a kernel",
        reads=("gradients", "features"),
        look=Look("#DDAA33", "1", "|o"),
        error=True,
        by_checkpoint=True,
        basis="diagonal",
        settings=("scores",),
        one_pass=True,
        cost=pass_over_features,
    ),
    Method(
        "d-trak",
        "trak with the squared output in the place of both losses (D-TRAK)",
        reads=("gradients", "features", "kernels"),
        look=Look("#004488", "2", "-x"),
        error=True,
        by_checkpoint=True,
        basis="d-trak",
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
        own={"of": {"type": "string", "description": "trak-sum: the method whose scores are added up; default trak."}},
        version=2,
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
        sections={"pixel": PIXEL},
    ),
    Method(
        ENCODER,
        "cosine with the final image in an image encoder's space",
        reads=("embeddings", "trajectory"),
        per_step=False,
        slurm="gpu",
    ),
    Method(IMPORTED, "scores from elsewhere", reads=("data", "source"), own={"scores": FOLDER}, stage="import_scores"),
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
    Method(
        "wiener",
        "exact leave-one-out of the optimal denoiser of a Gaussian fitted to the images",
        reads=("data", "trajectory", "generator", "mask"),
        look=Look("#CC6677", "X", "/"),
        control=True,
        cost=gaussians,
        slurm="matrices",
    ),
    Method("random", "random scores", reads=("data",), look=Look("#777777", "x", "--"), control=True),
]
# image encoders are named by the user; this name has a look of its own
LOOKS = {row.name: row.look for row in ROWS if row.look} | {"clip": Look("#D55E00", "D", "++")}
METHODS = {row.name: row for row in ROWS}
NAMED = [row.name for row in ROWS if row.name not in (ENCODER, IMPORTED)]  # what configurations call methods by
