"""How the scores of one target differ between steps, and those of one step between targets (B.3, B.4, B.5).

Shapes: S steps, N training images, T targets; K is the length of the top and of the bottom list of a step. Ties are
broken by index, as wherever images are ranked.
"""

import numpy as np

from .lds import spearman
from .ranking import extremes


def step_correlation(score):
    """Spearman correlation between the scores of every two steps (B.5).

    Args:
        score: (S, N).

    Returns:
        (S, S), symmetric; NaN where the scores of either step are all equal.
    """
    return np.stack([spearman(row, score) for row in score])


def constant_steps(score):
    """Which steps rank nothing, all their scores being equal: score (S, N) gives bool (S,)."""
    return np.ptp(score, axis=1) == 0


def ranks(score):
    """Every image's place, 1 being the first, in the list of largest scores of a step and in that of smallest ones.

    Args:
        score: (S, N).

    Returns:
        two int arrays (S, N).
    """
    n = score.shape[1]
    best, worst = np.stack([extremes(row, n) for row in score], 1)
    return np.argsort(best, axis=1) + 1, np.argsort(worst, axis=1) + 1


def changes_sides(from_top, from_bottom, k):
    """Images in the top list of one step and in the bottom list of another (B.3).

    Args:
        from_top, from_bottom: (S, N), as from ``ranks``. k: K.

    Returns:
        bool (N,).
    """
    top, bottom = from_top <= k, from_bottom <= k
    pairs = top.sum(0) * bottom.sum(0) - (top & bottom).sum(0)  # with equal scores, both lists of one step may hold it
    return pairs > 0


def random_sign_overlap(n, steps, k):
    """Probability that some image changes sides when all scores are independent noise: 1 − exp(−S(S−1)K²/N) (B.4).

    A step's lists hold a given image with probability K/N each, and there are S(S−1) ordered pairs of steps; for K well
    below N the number of images that change sides is Poisson.
    """
    return -np.expm1(-steps * (steps - 1) * np.square(k, dtype=float) / n)


def strongest_flip(from_top, from_bottom, k):
    """The image with the smallest sum of its places in the top list of one step and the bottom list of another.

    Args:
        from_top, from_bottom: (S, N), as from ``ranks``. k: K, the length of the lists.

    Returns:
        (image, sum of places), or None where no image changes sides.
    """
    images = np.flatnonzero(changes_sides(from_top, from_bottom, k))
    if not len(images):
        return None
    sums = from_top[:, None, images] + from_bottom[None, :, images]
    sums[np.arange(len(sums)), np.arange(len(sums))] = np.iinfo(sums.dtype).max  # of two different steps
    least = sums.min((0, 1))
    return int(images[least.argmin()]), int(least.min())


def top_overlap(tops, n):
    """What the top lists of several targets share; a random list shares K/N of its images with another.

    Args:
        tops: int (T, K), training images; T ≥ 2. n: N.

    Returns:
        mean share of the lists' images that two targets have in common, the image that most lists hold (of equals the
        first), and the share of targets whose list holds it.
    """
    targets, k = tops.shape
    count = np.bincount(tops.ravel(), minlength=n)  # two lists have an image in common once per pair of its targets
    overlap = (count * (count - 1)).sum() / (targets * (targets - 1) * k)
    return float(overlap), int(count.argmax()), float(count.max() / targets)
