"""Linear datamodeling score (§3.2, §5.3, Fig. 4): do summed scores predict what retrained models do?

Shapes: J subsets, R models each, S steps, N training images, K targets. An output is −f_t, a likelihood: a
positive score says that the image raises it, so predictions and outputs correlate positively.
"""

# SciPy is untyped
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import warnings
from collections.abc import Iterator

import numpy as np
from scipy.stats import rankdata

from waypoint.science.types import Booleans, Doubles, Integers, Numbers

SPECIFIC_TARGETS = 8  # fewer give no mean over targets that could be told from one of them


def predictions(included: Booleans, score: Numbers) -> Doubles:
    """Σ_{i∈S_j} τ(i) for every subset: included (J, N) bool and score (..., N) give (..., J)."""
    return score.astype(np.float64) @ included.T.astype(np.float64)


def spearman(a: Numbers, b: Numbers) -> Doubles:
    """Spearman correlation over the last axis of a (..., J) and b (..., J); NaN where either is constant."""
    return _pearson(rankdata(a, axis=-1), rankdata(b, axis=-1))


def _pearson(a: Numbers, b: Numbers) -> Doubles:
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    norms = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norms > 0, (a * b).sum(-1) / norms, np.nan)


def lds(predicted: Numbers, outputs: Numbers) -> Doubles:
    """LDS: ``spearman`` of predictions (..., J) with the outputs (..., J, R) averaged over the R models."""
    return spearman(predicted, outputs.mean(-1))


def centred(values: Numbers) -> Doubles:
    """Take out what all targets have in common: (K, S, ...) minus its mean over targets, at every step and subset.

    The LDS of centred predictions and outputs is the target-specific LDS: it does not reward knowing which training
    images are good for every target alike. Missing targets (NaN) do not count; NaN where fewer than
    ``SPECIFIC_TARGETS`` of them have the step.
    """
    known = np.isfinite(values)
    count = known.sum(0)
    common = np.where(known, values, 0).sum(0) / np.where(count >= SPECIFIC_TARGETS, count, np.nan)
    left = values - common
    return np.where(np.abs(left) < 1e-12 * np.abs(common), 0, left)  # equal values differ by the mean's rounding


def retrain(outputs: Numbers) -> Doubles | None:
    """The score of retraining itself: one model's outputs against the mean of the others', averaged over
    which one it is. outputs (..., J, R) give (...); None for R = 1."""
    models = outputs.shape[-1]
    if models == 1:
        return None
    rest = (outputs.sum(-1, keepdims=True) - outputs) / (models - 1)
    return np.mean([spearman(outputs[..., r], rest[..., r]) for r in range(models)], axis=0)


def agreement(outputs: Numbers) -> Doubles | None:
    """ρ: mean Spearman correlation of two models of the same subset. outputs (..., J, R) give (...); None for R = 1."""
    models = outputs.shape[-1]
    pairs = [(r, q) for q in range(models) for r in range(q)]
    return np.mean([spearman(outputs[..., r], outputs[..., q]) for r, q in pairs], axis=0) if pairs else None


def ceiling(rho: float | Numbers, models: int) -> Doubles:
    """The score of a perfect predictor against the mean of R models: √(Rρ/(1 + (R−1)ρ)), NaN for ρ ≤ 0."""
    rho = np.asarray(rho, np.float64)
    positive = np.where(rho > 0, rho, np.nan)
    return np.sqrt(models * positive / (1 + (models - 1) * positive))


def share_of_ceiling(means: Numbers, ceilings: Numbers) -> float:
    """The predicted share of the predictable over all steps whose ceiling is known: (S,) and (S,) give a number.

    NaN where none is, or where the LDS of one of these steps is undefined.
    """
    known = np.isfinite(ceilings)
    return float(means[known].mean() / ceilings[known].mean()) if known.any() else np.nan


def cross_step(predicted: Numbers, outputs: Numbers) -> Doubles:
    """LDS of the scores of step s against the outputs of step t: (S, J) and (T, J, R) give (S, T)."""
    return spearman(predicted[:, None], outputs.mean(-1)[None])


def resamples(
    stream: np.random.Generator, targets: int, subsets: int, count: int
) -> Iterator[tuple[Integers, Integers]]:
    """Bootstrap draws of targets and subsets, with replacement: ``count`` pairs of index arrays."""
    for _ in range(count):
        yield stream.integers(targets, size=targets), stream.integers(subsets, size=subsets)


def mean_over_targets(values: Numbers) -> tuple[Doubles, Doubles]:
    """Mean and standard error over the first axis, without NaN: (K, ...) gives two arrays (...)."""
    known = np.isfinite(values)
    count = known.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(count > 0, np.where(known, values, 0).sum(0) / count, np.nan)
        variance = np.where(known, (values - mean) ** 2, 0).sum(0) / (count - 1)
        return mean, np.where(count > 1, np.sqrt(variance / count), np.nan)


def interval(samples: Numbers, level: float = 0.95) -> Doubles:
    """Percentile interval over the first axis, without NaN: (B, ...) gives low and high."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")  # undefined in every resample: NaN says so
        return np.nanquantile(samples, [(1 - level) / 2, (1 + level) / 2], axis=0)
