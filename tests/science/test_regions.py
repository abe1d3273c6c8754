"""Masks as weights on the model's grid."""

import numpy as np
import pytest

from waypoint.errors import WaypointError
from waypoint.science.regions import box_mask, cell_shares


def test_box_selects_its_pixels():
    mask = box_mask([1, 0, 3, 2], 4, 5)
    assert mask.shape == (4, 5) and mask.sum() == 4 and mask[0:2, 1:3].all()


@pytest.mark.parametrize("box", [[2, 0, 2, 3], [0, 0, 6, 2], [3, 1, 1, 2]])
def test_boxes_outside_the_image_are_refused(box):
    with pytest.raises(WaypointError, match="mask"):
        box_mask(box, 4, 5)


def test_cells_weigh_their_masked_share():
    mask = box_mask([0, 0, 3, 4], 4, 4)
    assert cell_shares(mask, 2, 2).tolist() == [[1.0, 0.5], [1.0, 0.5]]
    assert np.array_equal(cell_shares(mask, 4, 4), mask)


def test_masks_that_do_not_fit_or_select_nothing_are_refused():
    with pytest.raises(WaypointError, match="does not fit"):
        cell_shares(np.ones((5, 4)), 2, 2)
    with pytest.raises(WaypointError, match="no pixel"):
        cell_shares(np.zeros((4, 4)), 2, 2)
