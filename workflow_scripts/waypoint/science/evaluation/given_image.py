"""Is a given image a training image, and how well does the model explain it?"""

import numpy as np

from waypoint.science.types import Doubles, Numbers

SAME = 1 / 255  # one grey level: the root-mean-square error, on the scale 0..1, up to which two images are the same
SHARE = 0.5  # of the median distance between a training image and its nearest other one
RARE = 0.05  # the share of images at either end that is called worse or better than usual


def copy_limit(nearest: Numbers, floor: float = SAME) -> float:
    """The distance up to which an image counts as a near-duplicate: half of what is usual among training images.

    Args:
        nearest: (m,) distances of some training images to their nearest other ones. floor: never less than this.
    """
    return max(floor, SHARE * float(np.median(nearest)))


def verdict(distance: float, limit: float, same: float = SAME) -> str:
    """same, near-duplicate or new, for the distance to the nearest training image."""
    if distance <= same:
        return "same"
    return "near-duplicate" if distance <= limit else "new"


def explained_better(loss: Numbers, losses: Numbers) -> Doubles:
    """The share of images with a larger loss, ties counted half: 0 is explained worst, 1 best.

    Args:
        loss: (...). losses: (m, ...) of the images that it is compared with.

    Returns:
        (...).
    """
    return ((losses > loss).mean(0) + (losses >= loss).mean(0)) / 2


def relative(loss: Numbers, train_losses: Numbers) -> Doubles:
    """A loss at several steps in one number: the mean over steps, in units of the training images' mean loss there.

    Args:
        loss: (..., S). train_losses: (m, S).

    Returns:
        (...).
    """
    return (loss / train_losses.mean(0)).mean(-1)
