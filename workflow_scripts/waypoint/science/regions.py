"""Masks of a target's region (§5.4) as weights on the model's grid of positions."""

from collections.abc import Sequence

import numpy as np

from waypoint.errors import WaypointError
from waypoint.science.types import Numbers, Singles


def box_mask(box: Sequence[int], height: int, width: int) -> Singles:
    """Return a box [x0, y0, x1, y1] in image pixels (x1, y1 exclusive) as a 0/1 array (height, width).

    Raises:
        WaypointError: the box is empty or leaves the image.
    """
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise WaypointError(f"mask {list(box)}: [x0, y0, x1, y1] must lie inside the {width} × {height} image")
    mask = np.zeros((height, width), np.float32)
    mask[y0:y1, x0:x1] = 1
    return mask


def cell_shares(mask: Numbers, height: int, width: int) -> Numbers:
    """Return the masked share of each cell's area in a height × width grid over the image.

    Args:
        mask: (H, W) 0/1 with H, W multiples of height, width.

    Raises:
        WaypointError: the grid does not divide the mask, or the mask selects nothing.
    """
    if mask.shape[0] % height or mask.shape[1] % width:
        raise WaypointError(f"mask of {mask.shape[1]} × {mask.shape[0]} pixels does not fit {width} × {height} cells")
    if not mask.any():
        raise WaypointError("mask selects no pixel")
    return mask.reshape(height, mask.shape[0] // height, width, mask.shape[1] // width).mean((1, 3))
