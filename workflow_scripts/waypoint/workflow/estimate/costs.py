"""Costs of an experiment as formulas of its configuration: the seconds of each rule's jobs and the bytes of each stage.

docs/scaling.md compares the formulas with measured runs. The rates are measured on the machine at hand
(``calibration``), so the same formulas hold for a laptop and a GPU.
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

BYTES_PER_IMAGE = 52  # an image's index, name, label and near-duplicate
INVERSION_CALLS = 12  # typical number of calls to invert a step of DDIM; at most 30
START_ALONE = ("join_features", "share_trajectory")  # rules without a stage of their own that only copy
COMPARISON_ROWS = 2 * 128 * 8  # rows passed to the model at a step to compare a given image: images × draws


@dataclass(frozen=True)
class Sizes:
    """Sizes that follow from the data and the model."""

    images: int  # N
    parameters: int  # p, of an adapter or of the whole model
    pixels: int  # values of an image
    inputs: int  # values of the model's input, an image or a latent
    caption: int  # values of an embedded caption; 0 if there are no captions
    latent: bool  # whether data/train.zarr holds latents besides the images
    T: int  # training steps of the scheduler
    factors: int = 0  # values in the factors of the curvature
    rotations: int = 0  # multiply-adds to rotate one gradient into the factors' eigenbasis
    cubes: int = 0  # sum of the cubes of the factors' sides
    frozen: int = 0  # parameters of the adapters' base


@dataclass(frozen=True)
class Rates:
    """Seconds of each kind of work on one machine, one job at a time."""

    start: float  # of a job with a model: interpreter, imports
    light_start: float  # of a job without a model
    load: float  # of one model
    call: float  # of the model, per row of a large batch; includes guidance
    single: float  # of the model on one row; includes guidance
    train: float  # of a training step, per image
    feature: float  # of an image's feature φ_i, over all its draws
    row: float  # of a Fisher row; 0 if none are used
    gradient: float  # of g_t at one step, over all its draws
    product: float  # of one multiply-add of a float64 matrix product
    score: float  # of one value of Φ, read and multiplied for one target


class Costs:
    """Seconds of the average job of every rule.

    Args:
        plan: a ``Plan``. sizes: ``Sizes``. rates: ``Rates``.
        with_model: names of the rules whose jobs import a model library.
    """

    def __init__(self, plan, sizes, rates, with_model):
        self.plan, self.config, self.sizes, self.rates = plan, plan.config, sizes, rates
        self.with_model = with_model
        self.models = len(plan.checkpoints)
        self.by_rule = {name: partial(row.cost, self) for name, row in STAGES.items() if row.cost}
        grid = known_grid(plan.config)  # None for an existing model that is not at hand
        self.grid = sampling_grid(sizes.T, plan.config["sampling"]["steps"]) if grid is None else grid

    def seconds(self, rule):
        """Return the seconds of one job of a rule; without a formula, the job counts as its start alone."""
        formula = self._formula(rule)
        start = self.rates.start if rule in self.with_model else self.rates.light_start
        return start + (formula() if formula else 0.0)

    def has_formula(self, rule):
        """Return whether a formula says that a rule's jobs take longer than their start."""
        return self._formula(rule) is not None and (rule not in STAGES or STAGES[rule].cost is not START)

    def uncounted(self, rules):
        """Return descriptions of the long work in jobs of ``rules`` that has no formula."""
        rows = (STAGES[rule] for rule in rules if rule in STAGES and not self._formula(rule))
        return [row.uncounted for row in rows if row.uncounted]

    def unknown(self, rules):
        """Return those of ``rules`` that have neither a formula nor a statement that only their start counts."""
        documented = {*START_ALONE, *(name for name, row in STAGES.items() if row.uncounted)}
        return [rule for rule in rules if rule not in documented and not self._formula(rule)]

    def _formula(self, rule):
        return self.by_rule.get(rule) or getattr(self, f"_{rule}", None)

    def training(self, images):
        """Return the seconds to train one model."""
        return self.config["training"]["epochs"] * images * self.rates.train

    def _train(self):
        return self.training(self.sizes.images)

    def _featurize(self):
        return self._features(self._whitening(self.plan.alone("featurize")))

    def _featurize_together(self):
        return self._features(self._whitenings(self.plan.together("featurize")))

    def _features(self, whitening):
        """Return the seconds for all images, or for those of one shard."""
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
        """Return the seconds to rotate a gradient into the eigenbases of ``bases``; float32 is twice as fast."""
        rotated = [basis for basis in bases if BASES[basis].map == "curvature"]
        return len(rotated) * self.sizes.rotations * self.rates.product / 2

    def _whitening(self, bases):
        """Return the seconds of ``_whitenings`` per basis, on average."""
        return self._whitenings(bases) / max(1, len(bases))

    def _curvature(self):
        # half a symmetric product and the rotations of two sets of rows; eigenvectors take about nine products
        rows, sizes = self.config["curvature"]["rows"], self.sizes
        products = rows * sizes.rotations * 3 / 2 + 9 * sizes.cubes
        return self.rates.load + 2 * rows * self.rates.row + products * self.rates.product

    def _diagonal_curvature(self):
        return self.rates.load + self.config["curvature"]["rows"] * self.rates.row

    def _factor_kernel(self):
        return float(np.mean([self._factored(n) for n in kernel_rows(self.plan, self.sizes.images)]))

    def _factored(self, n):
        """Return the seconds of a Gram matrix of n rows and its factor."""
        d = self.dim
        k = min(n, d)
        # half of a symmetric product (all of it in the dual form) and a Cholesky factorisation
        products = n * d * d / 2 if n >= d else n * n * d
        return (products + k**3 / 6) * self.rates.product

    def one_trajectory(self):
        """Return the seconds to load a model and generate one image."""
        return self.rates.load + len(self.grid) * self.rates.single

    _sample_trajectory = one_trajectory

    def _invert_image(self):
        """Return the seconds of x̂0_t at every step and noise, or of DDIM backwards (many calls a step) and forwards."""
        trajectories = [noises(self.plan, name) for name in self.plan.given]
        calls = [self.rates.call * n if n else self.rates.single * (INVERSION_CALLS + 2) for n in trajectories]
        return self.rates.load + len(self.grid) * float(np.mean(calls))

    def _compare_image(self):
        steps = float(np.mean([len(self.plan.steps(name)) for name in self.plan.given]))
        return self.rates.load + COMPARISON_ROWS * steps * self.rates.call

    def _target_gradients(self):
        return self._gradients(self._whitening(self.plan.alone("target_gradients")))

    def _target_gradients_together(self):
        return self._gradients(self._whitenings(self.plan.together("target_gradients")))

    def _gradients(self, whitening):
        """Return the seconds of a target's gradients for all checkpoints."""
        count = self.mean(lambda name: len(self.plan.steps(name)) * (noises(self.plan, name) or 1))
        return self.models * (self.rates.load + count * (self.rates.gradient + whitening))

    def _sample_from_x_t(self):
        sections = map(self.plan.samples, sampled_targets(self.plan))
        calls = [section["number"] * sum(map(self.calls, section["steps"])) for section in sections]
        return self.rates.load + float(np.mean(calls)) * self.rates.call

    def _contact_sheet(self):
        return self.rates.load + self.plan.sheet_samples * len(self.grid) * self.rates.call

    def calls(self, t):
        """Return the number of calls of the model from step t onwards."""
        return 1 + sum(s < t for s in self.grid)

    @property
    def dim(self):
        """The number of columns of features and target gradients."""
        return dimension(self.config, self.sizes)

    def steps(self):
        """Return the mean number of attributed steps of a target."""
        return self.mean(lambda name: len(self.plan.steps(name)))

    def mean(self, function, section=None):
        """Return the mean of a function of targets over an evaluation's targets, or over all."""
        return float(
            np.mean([function(name) for name in (self.plan.evaluated(section) if section else self.plan.targets)])
        )


def noises(plan, target):
    """Return the number of noise trajectories of a given image; 0 for any other target and for DDIM inversion."""
    return plan.sampled[target].get("noises", 0)


def dimension(config, sizes):
    """Return the dimension of features: d, or p without a projection."""
    return sizes.parameters if config["projection"]["kind"] == "none" else config["projection"]["dim"]


def kernel_rows(plan, images):
    """Return for each method with a kernel the number of train features or Fisher rows that the kernel is made from."""
    kinds = {"features": lambda basis: images, "fisher": plan.fisher_rows}
    return [kinds[plan.kind(method).kernel](plan.basis(method)) for method in plan.with_kernel]


def storage(plan, sizes):
    """Return {stage: bytes} of the finished artifacts, without their metadata."""
    config, n, d = plan.config, sizes.images, dimension(plan.config, sizes)
    models = len(plan.checkpoints)
    steps = sum(len(plan.steps(name)) for name in plan.targets)
    several_noises = [name for name in plan.targets if noises(plan, name) > 1]
    noise_steps = sum(noises(plan, name) * len(plan.steps(name)) for name in several_noises)
    features, values = config["features"], sizes.pixels + sizes.latent * sizes.inputs
    width = {"float32": 4, "float16": 2, "int8": 1}[features["dtype"]] * d
    width += 4 * (features["dtype"] != "float32")  # a scale per row
    grid = config["sampling"]["steps"]
    bytes_of = {
        "data": n * (BYTES_PER_IMAGE + 4 * (sizes.pixels + sizes.latent * sizes.inputs + sizes.caption)),
        "checkpoints": 4 * (sizes.frozen + sizes.parameters * (models + len(plan.retrained_models()))),
        # eigenvalues, and eigenvectors with the sides of the network's tensors
        "curvature": 4 * models * sum(sizes.parameters + sizes.factors * (stage == "curvature") for stage in plan.maps),
        "features": len(plan.bases) * models * n * width * (3 if features["keep_halves"] else 1),
        "fisher": 4 * models * d * sum(map(plan.fisher_rows, plan.fisher_bases)),
        "kernels": models * 2 * 8 * sum(min(rows, d) ** 2 for rows in kernel_rows(plan, n)),
        "targets": 4 * sum(noises(plan, name) or 1 for name in plan.sampled) * 2 * grid * sizes.inputs
        + 4 * len(plan.bases) * models * steps * d * (3 if features["keep_halves"] else 1)
        + 4 * len(plan.bases) * models * noise_steps * d
        + sum(
            4 * len(section["steps"]) * section["number"] * values
            for section in map(plan.samples, sampled_targets(plan))
        ),
        # every store also holds the images' indices
        "scores": 4 * n * steps * sum(_rows(config, plan.kind(method), models, n, d) for method in plan.instances)
        + 8 * n * len(plan.targets) * len(plan.instances),
    }
    return bytes_of if plan.attributed else {stage: bytes_of[stage] for stage in ("checkpoints", "targets")}


def sampled_targets(plan):
    """Return the targets for which p(·|x_t) is sampled: those shown in panels or used by evaluations."""
    if plan.attributed:
        return list(plan.targets)
    return plan.evaluated("samples") if plan.evaluation["samples"] else []


def _rows(config, kind, models, n, d):
    """Return the rows of scores that a method stores per step: mean, standard error, checkpoints and halves."""
    if not kind.by_checkpoint and "scores" not in kind.reads:  # sums over steps keep the same rows as their summands
        return 1 + (kind.error and models > 1)
    setting = config["scores"]["keep_checkpoints"]
    checkpoints = models if kept(setting, n, d, models) and (setting is not None or models > 1) else 0
    halves = 2 if config["features"]["keep_halves"] and models == 1 else 0
    return 1 + (kind.error and models > 1) + checkpoints + halves
