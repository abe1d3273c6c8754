"""The most positive and most negative training images of one row of scores."""

import numpy as np


def extremes(score, k):
    """Indices of the k largest scores, largest first, and of the k smallest, smallest first; ties by index.

    Args:
        score: (N,).

    Returns:
        two int arrays of length min(k, N).
    """
    score = np.asarray(score, np.float64)
    return np.argsort(-score, kind="stable")[:k], np.argsort(score, kind="stable")[:k]
