"""Do two models make the same image from the same noise (B.1)?"""

import itertools
from collections.abc import Iterator

from waypoint.science.evaluation.pixel_distance import l2
from waypoint.science.types import Doubles, Numbers


def distances(images: Numbers, independent: Numbers) -> Iterator[tuple[int, int, str, Doubles]]:
    """How far the images of every two models are apart, where both had the same noise and where each had its own.

    Args:
        images: (models, targets, C, H, W), each target's from the same noise for all models.
        independent: (models, targets, C, H, W), from noise that no other model had.

    Yields:
        For every two models a < b, (a, b, "same", ℓ2 (targets,)) and (a, b, "independent", ℓ2 (targets,)), where
        model b's images are those of its own noise.
    """
    for a, b in itertools.combinations(range(len(images)), 2):
        yield a, b, "same", l2(images[a], images[b])
        yield a, b, "independent", l2(images[a], independent[b])
