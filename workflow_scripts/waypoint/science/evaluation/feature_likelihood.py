"""Feature likelihood along the trajectory (§3.1, Fig. 3, B.6, B.10)."""

from collections.abc import Sequence

import numpy as np

from waypoint.science.baselines import cosine
from waypoint.science.types import Booleans, Doubles, Numbers

DIGITS = 9  # rises closer than this are equal: in floats 0.9 − 0.6 exceeds 0.3, though it is as many samples


def shares(called: Sequence[Numbers], feature: int) -> Doubles:
    """Share of the samples that are called ``feature``: called, S int arrays (number,), give (S,)."""
    return (np.stack(called) == feature).mean(1)


def nearer_to_first(images: Numbers, captions: Numbers) -> Booleans:
    """Which images an image-text model puts nearer to the first of two captions than to the second (B.6).

    Args:
        images: (n, F) embeddings. captions: (2, F) embeddings.

    Returns:
        bool (n,): whether the cosine similarity to the first caption is the larger one.
    """
    first, second = cosine(images, captions)
    return first > second


def steepest_interval(
    steps: Sequence[int] | Numbers, likelihood: Sequence[float] | Numbers
) -> tuple[int, int, float] | None:
    """The pair of neighbouring steps between which the likelihood rises most as the image is made.

    Args:
        steps: (S,), any order. likelihood: (S,).

    Returns:
        (from, to, rise) with from > to; the earliest in generation among equals; None if it never rises.
    """
    order = np.argsort(steps)[::-1]
    steps, likelihood = np.asarray(steps)[order], np.asarray(likelihood, np.float64)[order]
    rises = np.diff(likelihood).round(DIGITS)
    if not len(rises) or rises.max() <= 0:
        return None
    k = int(rises.argmax())
    return int(steps[k]), int(steps[k + 1]), float(rises[k])
