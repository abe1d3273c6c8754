"""Training images in the top list of one step and in the bottom list of another (B.3, B.4).

Shapes: S steps, N training images; K is the length of the top and of the bottom list of a step. Ties are broken by
index, as in all rankings.
"""

import numpy as np

from waypoint.science.evaluation.ranking import top_and_bottom
from waypoint.science.types import Booleans, Doubles, Integers, Numbers


def ranks(score: Numbers) -> tuple[Integers, Integers]:
    """Return every image's rank, from 1, among the largest and among the smallest scores of each step.

    Args:
        score: (S, N).

    Returns:
        two int arrays (S, N).
    """
    n = score.shape[1]
    best, worst = np.stack([top_and_bottom(row, n) for row in score], 1)
    return np.argsort(best, axis=1) + 1, np.argsort(worst, axis=1) + 1


def flips_sign(from_top: Integers, from_bottom: Integers, k: int) -> Booleans:
    """Find images in the top list of one step and in the bottom list of another (B.3).

    Args:
        from_top, from_bottom: (S, N), from ``ranks``. k: K.

    Returns:
        bool (N,).
    """
    top, bottom = from_top <= k, from_bottom <= k
    pairs = top.sum(0) * bottom.sum(0) - (top & bottom).sum(0)  # with ties, an image may be in both lists of a step
    return pairs > 0


def random_sign_overlap(n: int, steps: int, k: float | Numbers) -> Doubles:
    """Return the probability that any image flips sign if all scores are independent noise: 1 − exp(−S(S−1)K²/N) (B.4).

    Each list of a step contains a given image with probability K/N, and there are S(S−1) ordered pairs of steps. For K
    well below N, the number of images that flip sign is Poisson distributed.
    """
    return -np.expm1(-steps * (steps - 1) * np.square(k, dtype=float) / n)


def strongest_flip(from_top: Integers, from_bottom: Integers, k: int) -> tuple[int, int] | None:
    """Return the image with the smallest sum of ranks in the top list of one step and the bottom list of another.

    Args:
        from_top, from_bottom: (S, N), from ``ranks``. k: K, the length of the lists.

    Returns:
        (image, sum of ranks), or None if no image flips sign.
    """
    images = np.flatnonzero(flips_sign(from_top, from_bottom, k))
    if not len(images):
        return None
    sums = from_top[:, None, images] + from_bottom[None, :, images]
    sums[np.arange(len(sums)), np.arange(len(sums))] = np.iinfo(sums.dtype).max  # the steps must differ
    least = sums.min((0, 1))
    return int(images[least.argmin()]), int(least.min())
