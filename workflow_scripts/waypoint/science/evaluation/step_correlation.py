"""Rank correlation of a target's scores between steps (B.5). Shapes: S steps, N training images."""

import numpy as np

from waypoint.science.evaluation.lds import spearman
from waypoint.science.types import Doubles, Numbers


def step_correlation(score: Numbers) -> Doubles:
    """Return the Spearman correlation between the scores of every two steps (B.5).

    Args:
        score: (S, N).

    Returns:
        (S, S), symmetric; NaN where the scores of either step are all equal.
    """
    return np.stack([spearman(row, score) for row in score])
