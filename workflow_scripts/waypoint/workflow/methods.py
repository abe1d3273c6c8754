"""The table of attribution methods: inputs, properties of the scores, look in figures, and cost.

A method is anything that writes scores/{method}/{target}.zarr. To add one, write its script,
workflow_scripts/scores/score_{kind}.py, and its row here. Its rule, stage, paths, configuration checks, look in figures
and cost estimate follow from the row. The script gets an option for each input in the row, and ``--method``,
``--target`` and ``--out``.

A row is a *kind*. A configuration may name several methods of one kind, each with its own settings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from waypoint.workflow.plan.stage import START
from waypoint.workflow.types import Config

if TYPE_CHECKING:  # costs are those of a plan, which imports the methods
    from waypoint.workflow.estimate.costs import Costs

ENCODER, IMPORTED = "encoder", "imported"  # kinds that configurations never name: see ``config/method_settings``
# {source of a kernel: names of its settings}
KERNEL_KEYS: Mapping[str | None, tuple[str, ...]] = {"features": ("damping",), "fisher": ("rows", "damping")}


@dataclass(frozen=True)
class Look:
    """The look of a method in figures. Methods never differ by colour alone."""

    color: str
    marker: str
    hatch: str


@dataclass(frozen=True)
class Method:
    """A row of the table of methods.

    Attributes:
        name: the kind, as configurations write it. label: a short description.
        reads: the inputs of its script (keys of ``plan/method_inputs.READS``).
        look: in figures; None: methods of this kind are named by the user and take looks in turn.
        per_step: whether scores differ from step to step; otherwise every step has the same row.
        error: whether there is a standard error over checkpoints.
        by_checkpoint: whether the scores of single checkpoints are kept on request.
        basis: the basis of its features and gradients; None: it reads neither.
        kernel: the source of its kernel, a key of ``KERNEL_KEYS``; None: it has no kernel.
        kernel_settings: defaults of its kernel's settings; the others default to the section ``kernel``.
        settings: the parts of the configuration that its scores depend on: sections, or section.key.
        extra_keys: further keys that a method of this kind may have in the section ``methods``, as JSON schema.
        sections: sections of the configuration that belong to it, as JSON schema.
        control: whether it is a control that other methods must beat; controls are listed last.
        one_pass: whether one job scores all waiting targets (``jobs/features_pass``).
        cost: seconds of a job beyond its start-up, from ``estimate.costs.Costs``.
        slurm: small (jobs of seconds, many per submission), matrices (large, in float64) or gpu (needs one); the last
            two have a line in slurm/config.yaml.
        version: raised whenever the scores change.
        stage: the stage of its scores, which also names its rule and script; default score_{name}.
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
    kernel_settings: Mapping[str, int | float] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    extra_keys: Mapping[str, Config] = field(default_factory=dict)
    sections: Mapping[str, Config] = field(default_factory=dict)
    control: bool = False
    one_pass: bool = False
    cost: Callable[["Costs"], float] = START
    slurm: str = "small"
    version: int = 1
    stage: str = ""

    def __post_init__(self):
        if not self.stage:
            object.__setattr__(self, "stage", f"score_{self.name.replace('-', '_')}")

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that a method of this kind may have in the section ``methods``."""
        return ("kernel",) * bool(self.kernel) + tuple(self.extra_keys)


def pass_over_features(costs) -> float:
    """Return the seconds to read the features of all checkpoints once, with one product per step."""
    return costs.models * costs.sizes.images * costs.dim * costs.rates.score


def kernel_products(costs) -> float:
    """Return the seconds of a pass over the features plus those of K⁻¹g at every step."""
    k = min(costs.sizes.images, costs.dim)
    return pass_over_features(costs) + costs.models * k**2 * costs.steps() * costs.rates.product


def fisher_products(costs, basis="plain") -> float:
    """Return the seconds of a pass over the features with a kernel of Fisher rows.

    The rows are read twice if they are fewer than the dimensions.
    """
    rows, d = costs.plan.fisher_rows(basis), costs.dim
    solving = d**2 if rows >= d else rows**2 + 2 * rows * d
    return pass_over_features(costs) + costs.models * solving * costs.steps() * costs.rates.product


def gaussians(costs) -> float:
    """Return the seconds of a covariance of N vectors of size D, its eigenvectors, and f_t without each image.

    Masks are not counted.
    """
    n, size = costs.sizes.images, costs.sizes.inputs
    # half of a symmetric product and a change of basis; then the eigenvectors, 3.0 D³ for D = 1,728 and 3.3 D³ for 768
    products = n * size**2 * 3 / 2 + 3 * size**3
    # 200: f_t passes about twenty times over rows of D numbers, which takes longer than multiplying them
    work = (products + costs.steps() * n * size * 200) * costs.rates.product
    # the noise schedule needs the model library, whose import takes time
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
        extra_keys={
            "of": {"type": "string", "description": "trak-sum: the method whose scores are added up; default trak."}
        },
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
    Method(
        IMPORTED,
        "scores from elsewhere",
        reads=("data", "source"),
        extra_keys={"scores": FOLDER},
        stage="import_scores",
    ),
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
# image encoders are named by the user; clip has a fixed look
LOOKS = {row.name: row.look for row in ROWS if row.look} | {"clip": Look("#D55E00", "D", "++")}
METHODS = {row.name: row for row in ROWS}
NAMED = [row.name for row in ROWS if row.name not in (ENCODER, IMPORTED)]  # kinds that configurations may name
