"""Rankings of training images by score, and steps whose scores rank nothing."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from waypoint.science.types import Booleans, Numbers


def top_and_bottom(score: Numbers | Sequence[float], k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return indices of the k largest scores, largest first, and of the k smallest, smallest first; ties by index.

    Args:
        score: (N,).

    Returns:
        two int arrays of length min(k, N).
    """
    score = np.asarray(score, np.float64)
    return np.argsort(-score, kind="stable")[:k], np.argsort(score, kind="stable")[:k]


def constant_steps(score: Numbers) -> Booleans:
    """Tell which steps have all scores equal and so rank nothing: score (S, N) gives bool (S,)."""
    return np.ptp(score, axis=1) == 0
