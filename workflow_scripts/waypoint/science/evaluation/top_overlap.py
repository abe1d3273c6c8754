"""Training images that the top lists of several targets have in common.

Shapes: T targets, N training images; K is the length of a list.
"""

import numpy as np

from waypoint.science.types import Integers


def top_overlap(tops: Integers, n: int) -> tuple[float, int, float]:
    """How much the top lists of several targets overlap; a random list shares K/N of its images with another.

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
