"""How far scores can be trusted, without retraining: do two independent halves agree?"""

import numpy as np

from waypoint.science.evaluation.lds import spearman
from waypoint.science.types import Doubles, Numbers


def split_half_reliability(a: Numbers, b: Numbers) -> tuple[Doubles, Doubles]:
    """Spearman correlation of two halves' scores (..., N), and the reliability of both together (Spearman-Brown).

    Returns:
        two arrays (...): r of the halves, and 2r/(1+r), the expected correlation of the whole with another whole;
        NaN for r ≤ 0, where halves that do not agree say nothing of the whole.
    """
    r = spearman(a, b)
    positive = np.where(r > 0, r, np.nan)
    return r, 2 * positive / (1 + positive)


def signal_to_noise(score: Numbers, error: Numbers) -> Doubles:
    """sd over the training images of a step's scores against the root mean square of their standard errors: (...)."""
    noise = np.sqrt((error.astype(np.float64) ** 2).mean(-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(noise > 0, score.astype(np.float64).std(-1) / noise, np.nan)
