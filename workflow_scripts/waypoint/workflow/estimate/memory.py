"""Peak memory of the largest jobs, as formulas of the configuration, which docs/scaling.md checks."""

from collections.abc import Mapping

from waypoint.science.gradients.batching import rows_in_a_pass, rows_in_memory
from waypoint.workflow.estimate.costs import dimension, kernel_rows
from waypoint.workflow.plan.stages import STAGES

FLOAT, DOUBLE = 4, 8
STEP_STATES = 4  # a training step's weights, gradients and AdamW's two moments
PASS_COPIES = 2  # of what autograd keeps of a pass: going back through it takes about as much memory again
KERNEL_COPIES = 4  # of the k × k matrix while its triangle is mirrored, or while it is damped and factored
GAUSSIAN_COPIES = 4  # of the D × D covariance: with its eigenvectors and the workspace to find them

# keys that lower a job's memory, the one that affects the result least first
LOWERED_BY = {
    "train": ["training.batch_size"],
    "featurize": ["features.shards (more of them)", "attribution.train_draws", "gradients.kind: factorised"],
    "featurize_shard": ["features.shards (more of them)", "attribution.train_draws", "gradients.kind: factorised"],
    "target_gradients": ["attribution.target_draws", "steps of the targets", "gradients.kind: factorised"],
    "fisher_rows": ["kernel.rows of the method", "gradients.kind: factorised"],
    "curvature": ["curvature.rows"],
    "diagonal_curvature": ["curvature.rows"],
    "factor_kernel": ["projection.dim"],
    "score_wiener": ["data.size"],
}
HUNGRY, SHOWN = 1e9, 3  # bytes of a job from which its rule is listed, and the most rules listed


def hungry(memory_of: Mapping[str, float]) -> dict[str, list[str]]:
    """Return {rule: keys that lower its memory} of the rules whose jobs hold most; only those of a gigabyte or more.

    Args:
        memory_of: {rule: bytes of one job}.
    """
    lowered = {rule: LOWERED_BY.get(formula_of(rule)) for rule in memory_of if memory_of[rule] >= HUNGRY}
    keys = {rule: names for rule, names in lowered.items() if names}
    largest_first = sorted(keys, key=lambda rule: -memory_of[rule])
    return {rule: keys[rule] for rule in largest_first[:SHOWN]}


def formula_of(rule):
    """Return the rule whose formula applies: a stage that needs as much memory, the rule of one basis, or itself."""
    return (STAGES[rule].like if rule in STAGES else None) or rule.removesuffix("_together")


class Memory:
    """The peak memory of one job of every rule that needs more than its imports.

    Args:
        plan: a ``Plan``. sizes: ``costs.Sizes``. row: bytes that autograd keeps of one row of the model.
        columns: length of a gradient before its projection: p, or fewer for the factorised kind.
        device: the torch device.
        start, light_start: bytes of a process that has imported what jobs with and without a model import.
    """

    def __init__(self, plan, sizes, row, columns, device, start, light_start):
        self.plan, self.config, self.sizes, self.row, self.columns = plan, plan.config, sizes, row, columns
        self.device, self.light_start = device, light_start
        self.start = start + FLOAT * sizes.frozen  # a job that loads an adapter also holds its base

    def bytes(self, rule):
        """Return the peak bytes of one job, or None for a rule without a formula."""
        formula = getattr(self, f"_{formula_of(rule)}", None)
        return None if formula is None else formula()

    def _train(self):
        recipe = self.config["training"]
        weights = (STEP_STATES + (recipe["ema"] is not None)) * FLOAT * self.sizes.parameters
        return self.start + weights + self._images() + self._pass(recipe["batch_size"])

    def _featurize(self, shards=1):
        settings = self.config["attribution"]
        draws = settings["train_draws"] * (2 if self.config["data"]["flip"] else 1)
        images = self.sizes.images // shards
        rows = min(images, rows_in_memory(self.sizes.parameters, self.device))
        return self.start + self._whitening() + self._images() / shards + self._gradients(rows, draws)

    def _featurize_shard(self):
        return self._featurize(self.config["features"]["shards"])

    def _target_gradients(self):
        steps = max(len(self.plan.steps(name)) for name in self.plan.targets)
        return self.start + self._whitening() + self._gradients(steps, self.config["attribution"]["target_draws"])

    def _gradients(self, rows, draws):
        """Return the bytes of the weights, all gradients, those of the current pass, and what autograd keeps of it."""
        pass_examples, pass_draws = rows_in_a_pass(draws, self.row, self.device)
        pass_examples = min(pass_examples, rows)
        gradients = (rows + pass_examples) * FLOAT * self.columns
        return FLOAT * self.sizes.parameters + gradients + self._pass(pass_examples * pass_draws)

    def _fisher_rows(self):
        rows = min(max(map(self.plan.fisher_rows, self.plan.fisher_bases)), self._rows_in_memory())
        return self.start + self._whitening() + self._gradients(rows, 1)

    def _curvature(self):
        rows = min(self.config["curvature"]["rows"], self._rows_in_memory())
        return self.start + DOUBLE * (self.sizes.factors + self.sizes.parameters) + self._gradients(rows, 1)

    def _diagonal_curvature(self):
        rows = min(self.config["curvature"]["rows"], self._rows_in_memory())
        return self.start + DOUBLE * self.sizes.parameters + self._gradients(rows, 1)

    def _rows_in_memory(self):
        return rows_in_memory(self.sizes.parameters, self.device)

    def _whitening(self):
        """Return the bytes of eigenvectors and scales if gradients of some basis are whitened, else 0."""
        return FLOAT * (self.sizes.factors + self.sizes.parameters) if "curvature" in self.plan.maps else 0

    def _factor_kernel(self):
        d, peaks = dimension(self.config, self.sizes), [0]
        for method, n in zip(self.plan.with_kernel, kernel_rows(self.plan, self.sizes.images)):
            # the dual form holds all of Φ, as blocks and as one array, or all Fisher rows as they are stored
            dual = FLOAT if self.plan.kind(method).kernel == "fisher" else 2 * DOUBLE
            peaks.append(KERNEL_COPIES * DOUBLE * min(n, d) ** 2 + (dual * n * d if n < d else 0))
        return self.light_start + max(peaks)

    def _score_wiener(self):
        return self.start + GAUSSIAN_COPIES * DOUBLE * self.sizes.inputs**2

    def _pass(self, rows):
        return PASS_COPIES * rows * self.row

    def _images(self):
        return FLOAT * self.sizes.images * self.sizes.inputs
