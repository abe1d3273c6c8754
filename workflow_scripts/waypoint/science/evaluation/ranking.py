"""Ranking training images by a row of scores, and rows that rank nothing."""

import numpy as np


def top_and_bottom(score, k):
    """Indices of the k largest scores, largest first, and of the k smallest, smallest first; ties by index.

    Args:
        score: (N,).

    Returns:
        two int arrays of length min(k, N).
    """
    score = np.asarray(score, np.float64)
    return np.argsort(-score, kind="stable")[:k], np.argsort(score, kind="stable")[:k]


def constant_steps(score):
    """Which steps rank nothing, all their scores being equal: score (S, N) gives bool (S,)."""
    return np.ptp(score, axis=1) == 0
