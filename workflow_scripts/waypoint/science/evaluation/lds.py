"""Linear datamodeling score (§3.2, §5.3, Fig. 4): do summed scores predict the outputs of retrained models?

Shapes: J subsets, R models each, S steps, N training images, K targets. An output is −f_t, a likelihood: a positive
score means that the image raises it, so predictions and outputs correlate positively.
"""

# SciPy is untyped
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import warnings
from collections.abc import Iterator

import numpy as np
from scipy.stats import rankdata

from waypoint.science.types import Booleans, Doubles, Integers, Numbers

SPECIFIC_TARGETS = 8  # with fewer, the mean over targets is too close to each of them


def predictions(included: Booleans, score: Numbers) -> Doubles:
    """Return Σ_{i∈S_j} τ(i) for every subset: included (J, N) bool and score (..., N) give (..., J)."""
    return score.astype(np.float64) @ included.T.astype(np.float64)


def spearman(a: Numbers, b: Numbers) -> Doubles:
    """Return the Spearman correlation of a and b (..., J) over the last axis; NaN where either is constant."""
    return _pearson(rankdata(a, axis=-1), rankdata(b, axis=-1))


def _pearson(a: Numbers, b: Numbers) -> Doubles:
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    norms = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norms > 0, (a * b).sum(-1) / norms, np.nan)


def lds(predicted: Numbers, outputs: Numbers) -> Doubles:
    """Return the LDS: ``spearman`` of predictions (..., J) and outputs (..., J, R) averaged over the R models."""
    return spearman(predicted, outputs.mean(-1))


def centred(values: Numbers) -> Doubles:
    """Subtract the mean over targets from values (K, S, ...), at every step and subset.

    The LDS of centred predictions and outputs is the target-specific LDS: it does not reward knowing which training
    images are good for all targets alike. Missing targets (NaN) do not count; the result is NaN where fewer than
    ``SPECIFIC_TARGETS`` targets have the step.
    """
    finite = np.isfinite(values)
    count = finite.sum(0)
    common = np.where(finite, values, 0).sum(0) / np.where(count >= SPECIFIC_TARGETS, count, np.nan)
    residual = values - common
    # equal values may differ from their mean by rounding
    return np.where(np.abs(residual) < 1e-12 * np.abs(common), 0, residual)


def retrain(outputs: Numbers) -> Doubles | None:
    """Return the score of retraining itself: a model's outputs against the mean of the others', averaged over models.

    Outputs (..., J, R) give (...); None for R = 1.
    """
    models = outputs.shape[-1]
    if models == 1:
        return None
    rest = (outputs.sum(-1, keepdims=True) - outputs) / (models - 1)
    return np.mean([spearman(outputs[..., r], rest[..., r]) for r in range(models)], axis=0)


def agreement(outputs: Numbers) -> Doubles | None:
    """Return ρ, the mean Spearman correlation of two models of a subset: (..., J, R) gives (...); None for R = 1."""
    models = outputs.shape[-1]
    pairs = [(r, q) for q in range(models) for r in range(q)]
    return np.mean([spearman(outputs[..., r], outputs[..., q]) for r, q in pairs], axis=0) if pairs else None


def ceiling(rho: float | Numbers, models: int) -> Doubles:
    """Return the score of a perfect predictor against the mean of R models: √(Rρ/(1 + (R−1)ρ)), NaN for ρ ≤ 0."""
    rho = np.asarray(rho, np.float64)
    positive = np.where(rho > 0, rho, np.nan)
    return np.sqrt(models * positive / (1 + (models - 1) * positive))


def share_of_ceiling(means: Numbers, ceilings: Numbers) -> float:
    """Return the mean LDS (S,) over the mean ceiling (S,), over the steps whose ceiling is known: a number.

    NaN if there are none, or if the LDS of one of these steps is undefined.
    """
    finite = np.isfinite(ceilings)
    return float(means[finite].mean() / ceilings[finite].mean()) if finite.any() else np.nan


def cross_step(predicted: Numbers, outputs: Numbers) -> Doubles:
    """Return the LDS of scores at step s against outputs at step t: (S, J) and (T, J, R) give (S, T)."""
    return spearman(predicted[:, None], outputs.mean(-1)[None])


def resamples(
    stream: np.random.Generator, targets: int, subsets: int, count: int
) -> Iterator[tuple[Integers, Integers]]:
    """Yield ``count`` bootstrap draws of targets and subsets with replacement.

    Yields:
        int (K,) and int (J,), indices of K targets and of J subsets.
    """
    for _ in range(count):
        yield stream.integers(targets, size=targets), stream.integers(subsets, size=subsets)


def mean_over_targets(values: Numbers) -> tuple[Doubles, Doubles]:
    """Return mean and standard error over the first axis, ignoring NaN: (K, ...) gives two arrays (...)."""
    finite = np.isfinite(values)
    count = finite.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(count > 0, np.where(finite, values, 0).sum(0) / count, np.nan)
        variance = np.where(finite, (values - mean) ** 2, 0).sum(0) / (count - 1)
        return mean, np.where(count > 1, np.sqrt(variance / count), np.nan)


def interval(samples: Numbers, level: float = 0.95) -> Doubles:
    """Return the percentile interval over the first axis, ignoring NaN: (B, ...) gives low and high."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")  # undefined in every resample: the result is NaN
        return np.nanquantile(samples, [(1 - level) / 2, (1 + level) / 2], axis=0)
