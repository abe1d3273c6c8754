"""The ℓ2 distance of images in pixel space, for forgetting (§5.5, Fig. 7) and B.1."""

import numpy as np

from waypoint.science.types import Doubles, Numbers


def l2(images: Numbers, others: Numbers) -> Doubles:
    """Return ‖a − b‖₂ of every image and its counterpart, summed in float64.

    Args:
        images: (..., C, H, W). others: (..., C, H, W), or anything that broadcasts to it, such as one image (C, H, W).

    Returns:
        float64 (...).
    """
    return np.sqrt(((images.astype(np.float64) - others) ** 2).sum((-3, -2, -1)))
