"""Bytes that the largest jobs hold at their peak, as formulas of the configuration (docs/scaling.md checks them)."""

from collections.abc import Mapping

from waypoint.science.gradients.batching import rows_in_a_pass, rows_in_memory
from waypoint.workflow.estimate.costs import dimension, kernel_rows
from waypoint.workflow.plan.stages import STAGES

FLOAT, DOUBLE = 4, 8
STEP_STATES = 4  # a training step's weights, gradients and AdamW's two moments
THERE_AND_BACK = 2  # of what autograd keeps of a pass: as much again goes through the allocator on the way back
KERNEL_COPIES = 4  # of the k × k matrix, while its triangle is mirrored, or damped and factored
GAUSSIAN_COPIES = 4  # of the D × D covariance: its eigenvectors, and what finding them takes

# keys that a job's memory falls with, the one that costs the result least first
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
HUNGRY, SHOWN = 1e9, 3  # bytes of a job, and how many rules


def hungry(held: Mapping[str, float]) -> dict[str, list[str]]:
    """The rules whose jobs hold most, {rule: keys that lower it}; none where nothing holds a gigabyte.

    Args:
        held: {rule: bytes of one job}.
    """
    lowered = {rule: LOWERED_BY.get(formula_of(rule)) for rule in held if held[rule] >= HUNGRY}
    keys = {rule: names for rule, names in lowered.items() if names}
    most = sorted(keys, key=lambda rule: -held[rule])
    return {rule: keys[rule] for rule in most[:SHOWN]}


def formula_of(rule):
    """The rule whose formula holds for a rule: its own, or that of a stage, or of a basis alone, that holds as much."""
    return (STAGES[rule].like if rule in STAGES else None) or rule.removesuffix("_together")


class Memory:
    """Peak bytes of one job of every rule that holds more than its imports.

    Args:
        plan: a ``Plan``. sizes: ``costs.Sizes``. row: bytes that autograd keeps of one row of the model.
        columns: of a gradient, before its projection: p, or what the factorised kind leaves.
        device: the torch device. start, light_start: bytes of a process that has imported what jobs import.
    """

    def __init__(self, plan, sizes, row, columns, device, start, light_start):
        self.plan, self.config, self.sizes, self.row, self.columns = plan, plan.config, sizes, row, columns
        self.device, self.light_start = device, light_start
        self.start = start + FLOAT * sizes.frozen  # whoever loads an adapter holds its base too

    def bytes(self, rule):
        """Peak bytes of one job, or None for a rule without a formula."""
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
        """The weights, the rows of gradients, those of the pass under way, and what autograd keeps of it."""
        together, at_once = rows_in_a_pass(draws, self.row, self.device)
        together = min(together, rows)
        gradients = (rows + together) * FLOAT * self.columns
        return FLOAT * self.sizes.parameters + gradients + self._pass(together * at_once)

    def _fisher_rows(self):
        most = max(map(self.plan.fisher_rows, self.plan.fisher_bases))
        return self.start + self._whitening() + self._gradients(min(most, self._rows_in_memory()), 1)

    def _curvature(self):
        rows = min(self.config["curvature"]["rows"], self._rows_in_memory())
        return self.start + DOUBLE * (self.sizes.factors + self.sizes.parameters) + self._gradients(rows, 1)

    def _diagonal_curvature(self):
        rows = min(self.config["curvature"]["rows"], self._rows_in_memory())
        return self.start + DOUBLE * self.sizes.parameters + self._gradients(rows, 1)

    def _rows_in_memory(self):
        return rows_in_memory(self.sizes.parameters, self.device)

    def _whitening(self):
        """Eigenvectors and scales, where gradients of some basis are whitened."""
        return FLOAT * (self.sizes.factors + self.sizes.parameters) if "curvature" in self.plan.maps else 0

    def _factor_kernel(self):
        d, held = dimension(self.config, self.sizes), [0]
        for method, n in zip(self.plan.with_kernel, kernel_rows(self.plan, self.sizes.images)):
            # the dual form has all of Φ, in blocks and in one piece, or all Fisher rows as they are stored
            dual = FLOAT if self.plan.kind(method).kernel == "fisher" else 2 * DOUBLE
            held.append(KERNEL_COPIES * DOUBLE * min(n, d) ** 2 + (dual * n * d if n < d else 0))
        return self.light_start + max(held)

    def _score_wiener(self):
        return self.start + GAUSSIAN_COPIES * DOUBLE * self.sizes.inputs**2

    def _pass(self, rows):
        return THERE_AND_BACK * rows * self.row

    def _images(self):
        return FLOAT * self.sizes.images * self.sizes.inputs
