"""Costs of an experiment: seconds of each rule's jobs and bytes of each stage, as formulas of its configuration.

The formulas of docs/scaling.md, which compares them with measured runs. Rates are measured on the machine at hand
(``calibration``), so the same formulas hold for a laptop and for a GPU.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from waypoint.science.timesteps import sampling_grid
from waypoint.workflow.bases import BASES
from waypoint.workflow.config.models import known_grid
from waypoint.workflow.kept_scores import kept
from waypoint.workflow.plan.stage import START
from waypoint.workflow.plan.stages import STAGES

OF_EACH = 52  # bytes of an image's numbers, its name, label and near-duplicate
INVERTING = 12  # calls that an inverted step of DDIM takes, at most 30
START_ALONE = ("join_features", "share_trajectory")  # rules without a stage of their own that only copy
COMPARED = 2 * 128 * 8  # rows that the model sees at a step where a given image is compared: images and draws


@dataclass(frozen=True)
class Sizes:
    """Numbers that follow from data and model."""

    images: int  # N
    parameters: int  # p: of an adapter, or of the whole model
    pixels: int  # values of an image
    inputs: int  # values of what the model sees: an image, or a latent
    caption: int  # values of an embedded caption; 0 without
    latent: bool  # whether data/train.zarr holds latents beside the images
    T: int  # training steps of the scheduler
    factors: int = 0  # numbers in the factors of the curvature
    rotations: int = 0  # multiply-adds that take one gradient into their eigenbasis
    cubes: int = 0  # cubes of their sides, summed
    frozen: int = 0  # parameters of the base of adapters


@dataclass(frozen=True)
class Rates:
    """Seconds that work takes on one machine, one job at a time."""

    start: float  # of a job with a model: interpreter, imports
    light_start: float  # of a job without
    load: float  # of one model
    call: float  # of the model, per row of a large batch; guidance counted in
    single: float  # of the model on one row; guidance counted in
    train: float  # of a training step, per image
    feature: float  # of an image's feature φ_i, all its draws
    row: float  # of a Fisher row; 0 where there are none
    gradient: float  # of g_t at one step, all its draws
    product: float  # of one multiply-add of a float64 matrix product
    score: float  # of one value of Φ, read and multiplied for one target


class Costs:
    """Seconds of the average job of every rule.

    Args:
        plan: a ``Plan``. sizes, rates: as above. with_model: names of the rules whose jobs import a model library.
    """

    def __init__(self, plan, sizes, rates, with_model):
        self.plan, self.config, self.sizes, self.rates = plan, plan.config, sizes, rates
        self.with_model = with_model
        self.models = len(plan.checkpoints)
        self.by_rule = {name: partial(row.cost, self) for name, row in STAGES.items() if row.cost}
        known = known_grid(plan.config)  # None: of an existing model that is not at hand
        self.grid = sampling_grid(sizes.T, plan.config["sampling"]["steps"]) if known is None else known

    def seconds(self, rule):
        """Seconds of one job of a rule; a rule without a formula of its own takes no longer than its start."""
        formula = self._formula(rule)
        start = self.rates.start if rule in self.with_model else self.rates.light_start
        return start + (formula() if formula else 0.0)

    def has_formula(self, rule):
        """Whether a rule's jobs take longer than their start, as far as anybody has said."""
        return self._formula(rule) is not None and (rule not in STAGES or STAGES[rule].cost is not START)

    def uncounted(self, rules):
        """The work of jobs of ``rules`` that takes long, and for which there is no formula."""
        rows = (STAGES[rule] for rule in rules if rule in STAGES and not self._formula(rule))
        return [row.uncounted for row in rows if row.uncounted]

    def unknown(self, rules):
        """Those of ``rules`` for which there is neither a formula nor a statement that only their start counts."""
        said = {*START_ALONE, *(name for name, row in STAGES.items() if row.uncounted)}
        return [rule for rule in rules if rule not in said and not self._formula(rule)]

    def _formula(self, rule):
        return self.by_rule.get(rule) or getattr(self, f"_{rule}", None)

    def training(self, images):
        """Seconds of the training of one model."""
        return self.config["training"]["epochs"] * images * self.rates.train

    def _train(self):
        return self.training(self.sizes.images)

    def _featurize(self):
        return self._features(self._whitening(self.plan.alone("featurize")))

    def _featurize_together(self):
        return self._features(self._whitenings(self.plan.together("featurize")))

    def _features(self, whitening):
        """Seconds of all images, or of those of a shard."""
        images = self.sizes.images / self.config["features"]["shards"]
        return self.rates.load + images * (self.rates.feature + whitening)

    _featurize_shard, _featurize_shard_together = _featurize, _featurize_together

    def _fisher_rows(self):
        bases = self.plan.alone("fisher_rows")
        rows = float(np.mean([self.plan.fisher_rows(basis) for basis in bases]))
        return self.rates.load + rows * (self.rates.row + self._whitening(bases))

    def _fisher_rows_together(self):
        bases = self.plan.together("fisher_rows")
        return self.rates.load + self.plan.fisher_rows(bases[0]) * (self.rates.row + self._whitenings(bases))

    def _whitenings(self, bases):
        """Seconds in which a gradient is taken into the eigenbases of some bases; float32 is twice as fast."""
        rotated = [basis for basis in bases if BASES[basis].map == "curvature"]
        return len(rotated) * self.sizes.rotations * self.rates.product / 2

    def _whitening(self, bases):
        """The same for one of them, on average."""
        return self._whitenings(bases) / max(1, len(bases))

    def _curvature(self):
        # half a symmetric product and the rotations of two sets of rows; eigenvectors take some nine products
        rows, sizes = self.config["curvature"]["rows"], self.sizes
        products = rows * sizes.rotations * 3 / 2 + 9 * sizes.cubes
        return self.rates.load + 2 * rows * self.rates.row + products * self.rates.product

    def _diagonal_curvature(self):
        return self.rates.load + self.config["curvature"]["rows"] * self.rates.row

    def _factor_kernel(self):
        return float(np.mean([self._factored(n) for n in kernel_rows(self.plan, self.sizes.images)]))

    def _factored(self, n):
        """Seconds of a Gram matrix of n rows, and of its factor."""
        d = self.dim
        k = min(n, d)
        # half of a symmetric product (all of it in the dual form), and a Cholesky factor
        products = n * d * d / 2 if n >= d else n * n * d
        return (products + k**3 / 6) * self.rates.product

    def one_trajectory(self):
        """Seconds to load a model and generate one image."""
        return self.rates.load + len(self.grid) * self.rates.single

    _sample_trajectory = one_trajectory

    def _invert_image(self):
        """x̂0_t of every step and noise, or DDIM run backwards, where a step takes several calls, and forwards."""
        trajectories = [noises(self.plan, name) for name in self.plan.given]
        calls = [self.rates.call * n if n else self.rates.single * (INVERTING + 2) for n in trajectories]
        return self.rates.load + len(self.grid) * float(np.mean(calls))

    def _compare_image(self):
        steps = float(np.mean([len(self.plan.steps(name)) for name in self.plan.given]))
        return self.rates.load + COMPARED * steps * self.rates.call

    def _target_gradients(self):
        return self._gradients(self._whitening(self.plan.alone("target_gradients")))

    def _target_gradients_together(self):
        return self._gradients(self._whitenings(self.plan.together("target_gradients")))

    def _gradients(self, whitening):
        """Seconds of a target's gradients, for all checkpoints."""
        each = self.mean(lambda name: len(self.plan.steps(name)) * (noises(self.plan, name) or 1))
        return self.models * (self.rates.load + each * (self.rates.gradient + whitening))

    def _sample_from_x_t(self):
        sections = map(self.plan.samples, sampled_targets(self.plan))
        calls = [section["number"] * sum(map(self.calls, section["steps"])) for section in sections]
        return self.rates.load + float(np.mean(calls)) * self.rates.call

    def _contact_sheet(self):
        return self.rates.load + self.plan.sheet_samples * len(self.grid) * self.rates.call

    def calls(self, t):
        """The number of calls of the model from step t on."""
        return 1 + sum(s < t for s in self.grid)

    @property
    def dim(self):
        """Columns of features and target gradients."""
        return dimension(self.config, self.sizes)

    def steps(self):
        """Attributed steps of a target, on average."""
        return self.mean(lambda name: len(self.plan.steps(name)))

    def mean(self, of, section=None):
        """The mean of a function of targets: over those of an evaluation, or over all."""
        return float(np.mean([of(name) for name in (self.plan.evaluated(section) if section else self.plan.targets)]))


def noises(plan, target):
    """Noise trajectories of a given image; 0 for any other target, and for DDIM's inverse."""
    return plan.sampled[target].get("noises", 0)


def dimension(config, sizes):
    """The dimension of features: d, or p without a projection."""
    return sizes.parameters if config["projection"]["kind"] == "none" else config["projection"]["dim"]


def kernel_rows(plan, images):
    """Rows that the kernel of every method with one is made from: of train features, or of Fisher rows."""
    kinds = {"features": lambda basis: images, "fisher": plan.fisher_rows}
    return [kinds[plan.kind(method).kernel](plan.basis(method)) for method in plan.with_kernel]


def storage(plan, sizes):
    """Bytes of every stage's finished artifacts, {stage: bytes}, without their metadata."""
    config, n, d = plan.config, sizes.images, dimension(plan.config, sizes)
    models = len(plan.checkpoints)
    steps = sum(len(plan.steps(name)) for name in plan.targets)
    many = [name for name in plan.targets if noises(plan, name) > 1]
    of_noises = sum(noises(plan, name) * len(plan.steps(name)) for name in many)
    features, values = config["features"], sizes.pixels + sizes.latent * sizes.inputs
    width = {"float32": 4, "float16": 2, "int8": 1}[features["dtype"]] * d
    width += 4 * (features["dtype"] != "float32")  # a scale per row
    grid = config["sampling"]["steps"]
    bytes_of = {
        "data": n * (OF_EACH + 4 * (sizes.pixels + sizes.latent * sizes.inputs + sizes.caption)),
        "checkpoints": 4 * (sizes.frozen + sizes.parameters * (models + len(plan.retrained_models()))),
        # eigenvalues; the eigenvectors' sides are those of the network's tensors
        "curvature": 4 * models * sum(sizes.parameters + sizes.factors * (stage == "curvature") for stage in plan.maps),
        "features": len(plan.bases) * models * n * width * (3 if features["keep_halves"] else 1),
        "fisher": 4 * models * d * sum(map(plan.fisher_rows, plan.fisher_bases)),
        "kernels": models * 2 * 8 * sum(min(rows, d) ** 2 for rows in kernel_rows(plan, n)),
        "targets": 4 * sum(noises(plan, name) or 1 for name in plan.sampled) * 2 * grid * sizes.inputs
        + 4 * len(plan.bases) * models * steps * d * (3 if features["keep_halves"] else 1)
        + 4 * len(plan.bases) * models * of_noises * d
        + sum(
            4 * len(section["steps"]) * section["number"] * values
            for section in map(plan.samples, sampled_targets(plan))
        ),
        # and in every store the images' own numbers
        "scores": 4 * n * steps * sum(_rows(config, plan.kind(method), models, n, d) for method in plan.instances)
        + 8 * n * len(plan.targets) * len(plan.instances),
    }
    return bytes_of if plan.attributed else {stage: bytes_of[stage] for stage in ("checkpoints", "targets")}


def sampled_targets(plan):
    """Targets of which samples of p(·|x_t) are made: those that panels show, or evaluations ask for."""
    if plan.attributed:
        return list(plan.targets)
    return plan.evaluated("samples") if plan.evaluation["samples"] else []


def _rows(config, kind, models, n, d):
    """Rows of scores that a method stores per step: the mean, its standard error, on request every checkpoint's."""
    if not kind.by_checkpoint and "scores" not in kind.reads:  # sums over steps keep what they add up
        return 1 + (kind.error and models > 1)
    keeps = config["scores"]["keep_checkpoints"]
    each = models if kept(keeps, n, d, models) and (keeps is not None or models > 1) else 0
    halves = 2 if config["features"]["keep_halves"] and models == 1 else 0
    return 1 + (kind.error and models > 1) + each + halves
