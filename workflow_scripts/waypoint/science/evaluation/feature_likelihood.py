"""Feature likelihood along the trajectory (§3.1, Fig. 3, B.6, B.10)."""

from collections.abc import Sequence

import numpy as np

from waypoint.science.baselines import cosine
from waypoint.science.types import Booleans, Doubles, Numbers

DIGITS = 9  # rises that agree to this precision are equal: in floats, 0.9 − 0.6 differs from 0.3


def shares(classes: Sequence[Numbers], feature: int) -> Doubles:
    """Return the share of samples classified as ``feature``: S int arrays (samples,) give (S,)."""
    return (np.stack(classes) == feature).mean(1)


def nearer_to_first(images: Numbers, captions: Numbers) -> Booleans:
    """Tell which images an image-text model places nearer to the first of two captions than to the second (B.6).

    Args:
        images: (n, F) embeddings. captions: (2, F) embeddings.

    Returns:
        bool (n,): whether the cosine similarity to the first caption is larger.
    """
    first, second = cosine(images, captions)
    return first > second


def steepest_interval(
    steps: Sequence[int] | Numbers, likelihood: Sequence[float] | Numbers
) -> tuple[int, int, float] | None:
    """Return the pair of neighbouring steps between which the likelihood rises most during generation.

    Args:
        steps: (S,), in any order. likelihood: (S,).

    Returns:
        (from, to, rise) with from > to, the earliest in generation among equals; None if it never rises.
    """
    order = np.argsort(steps)[::-1]
    steps, likelihood = np.asarray(steps)[order], np.asarray(likelihood, np.float64)[order]
    rises = np.diff(likelihood).round(DIGITS)
    if not len(rises) or rises.max() <= 0:
        return None
    k = int(rises.argmax())
    return int(steps[k]), int(steps[k + 1]), float(rises[k])
