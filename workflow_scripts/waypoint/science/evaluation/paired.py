"""Paired differences of two methods over the same targets."""

import numpy as np

from waypoint.science.types import Numbers

RESAMPLES = 10_000


def interval_of_mean(differences: Numbers, stream: np.random.Generator, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile bootstrap interval over targets of the mean of their differences (K,).

    Args:
        stream: a NumPy generator.
        level: share of resamples within the interval.

    Returns:
        its two ends; NaN for one target, which has no spread to draw from.
    """
    targets = len(differences)
    if targets < 2:
        return np.nan, np.nan
    resampled = stream.integers(targets, size=(RESAMPLES, targets))
    low, high = np.quantile(differences[resampled].mean(1), [(1 - level) / 2, (1 + level) / 2])
    return low, high
