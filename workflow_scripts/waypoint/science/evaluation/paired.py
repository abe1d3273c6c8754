"""Paired differences of two methods over the same targets."""

import numpy as np

from waypoint.science.types import Numbers

RESAMPLES = 10_000


def interval_of_mean(differences: Numbers, stream: np.random.Generator, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval over targets of the mean of their differences (K,).

    Args:
        stream: a numpy generator.
        level: share of resamples within the interval.

    Returns:
        Its two ends; NaN for one target, which has no spread to be drawn from.
    """
    targets = len(differences)
    if targets < 2:
        return np.nan, np.nan
    drawn = stream.integers(targets, size=(RESAMPLES, targets))
    low, high = np.quantile(differences[drawn].mean(1), [(1 - level) / 2, (1 + level) / 2])
    return low, high
