"""Do two models generate the same image from the same noise (B.1)?"""

import itertools
from collections.abc import Iterator

from waypoint.science.evaluation.pixel_distance import l2
from waypoint.science.types import Doubles, Numbers


def distances(images: Numbers, independent: Numbers) -> Iterator[tuple[int, int, str, Doubles]]:
    """Yield distances between the images of every two models, from the same noise and from independent noise.

    Args:
        images: (models, targets, C, H, W); a target has the same noise for all models.
        independent: (models, targets, C, H, W), from noise that differs between models.

    Yields:
        for every two models a < b, (a, b, "same", ℓ2 (targets,)) and (a, b, "independent", ℓ2 (targets,)); the latter
        uses model b's images from independent noise.
    """
    for a, b in itertools.combinations(range(len(images)), 2):
        yield a, b, "same", l2(images[a], images[b])
        yield a, b, "independent", l2(images[a], independent[b])
