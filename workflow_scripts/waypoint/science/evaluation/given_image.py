"""Is a given image a training image, and how well does the model explain it?"""

import numpy as np

from waypoint.science.types import Doubles, Numbers

SAME = 1 / 255  # one grey level: root mean square error, on a scale of 0 to 1, up to which images are the same
# Of the median distance from a training image to its nearest neighbour. A convention, chosen by no measurement: at half
# of it two images differ half as much as the nearest images of these data usually do.
SHARE = 0.5
RARE = 0.05  # share of images at either end that count as explained worse or better than usual


def copy_limit(nearest: Numbers, floor: float = SAME) -> float:
    """Return the distance up to which an image is a near-duplicate: half the usual distance of training images.

    Args:
        nearest: (m,) distances of training images to their nearest neighbours. floor: lower bound of the result.
    """
    return max(floor, SHARE * float(np.median(nearest)))


def verdict(distance: float, limit: float, same: float = SAME) -> str:
    """Classify a distance to the nearest training image as same, near-duplicate or new."""
    if distance <= same:
        return "same"
    return "near-duplicate" if distance <= limit else "new"


def explained_better(loss: Numbers, losses: Numbers) -> Doubles:
    """Return the share of images with a larger loss, ties counting half: 0 is explained worst, 1 best.

    Args:
        loss: (...). losses: (m, ...) of the images to compare with.

    Returns:
        (...).
    """
    return ((losses > loss).mean(0) + (losses >= loss).mean(0)) / 2


def relative(loss: Numbers, train_losses: Numbers) -> Doubles:
    """Return the mean loss over steps, in units of the training images' mean loss at each step.

    Args:
        loss: (..., S). train_losses: (m, S).

    Returns:
        (...).
    """
    return (loss / train_losses.mean(0)).mean(-1)
