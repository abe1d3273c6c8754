"""The reliability of scores without retraining: do two independent halves agree?"""

import numpy as np

from waypoint.science.evaluation.lds import spearman
from waypoint.science.types import Doubles, Numbers


def split_half_reliability(a: Numbers, b: Numbers) -> tuple[Doubles, Doubles]:
    """Return the Spearman correlation of two halves' scores (..., N), and the whole's reliability (Spearman-Brown).

    The formula is that of Spearman and of Brown (both British Journal of Psychology 3, 1910) for twice the length. It
    was derived for Pearson's correlation of halves with equal variances; for ranks it is an approximation.

    Returns:
        two arrays (...): r of the halves, and 2r/(1+r), the expected correlation of the whole with another whole;
        NaN for r ≤ 0, where the halves do not agree.
    """
    r = spearman(a, b)
    positive = np.where(r > 0, r, np.nan)
    return r, 2 * positive / (1 + positive)


def signal_to_noise(score: Numbers, error: Numbers) -> Doubles:
    """Return the sd of scores (..., N) over training images divided by their root mean square standard error: (...)."""
    noise = np.sqrt((error.astype(np.float64) ** 2).mean(-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(noise > 0, score.astype(np.float64).std(-1) / noise, np.nan)
