"""Training images common to the top lists of several targets.

Shapes: T targets, N training images; K is the length of a list.
"""

import numpy as np

from waypoint.science.types import Integers


def top_overlap(tops: Integers, n: int) -> tuple[float, int, float]:
    """Measure how much the top lists of several targets overlap; random lists share K/N of their images.

    Args:
        tops: int (T, K), training images; T ≥ 2. n: N.

    Returns:
        the mean share of images common to two targets' lists, the image in most lists (the first among equals), and the
        share of targets whose list contains it.
    """
    targets, k = tops.shape
    count = np.bincount(tops.ravel(), minlength=n)  # an image is common to two lists once per pair of its targets
    overlap = (count * (count - 1)).sum() / (targets * (targets - 1) * k)
    return float(overlap), int(count.argmax()), float(count.max() / targets)
