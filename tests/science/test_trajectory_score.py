"""trak-sum: the sum over steps of scores divided by their spread."""

import numpy as np
import pytest

from waypoint.errors import WaypointError
from waypoint.science.trajectory_score import trajectory_score


def test_each_step_counts_by_its_own_spread():
    tau = np.array([[1.0, -1, 1, -1], [30, 10, -10, -30]])
    spread = [1.0, np.sqrt(500)]
    expected = [tau[0, i] / spread[0] + tau[1, i] / spread[1] for i in range(4)]
    assert np.allclose(trajectory_score(tau, [100, 300], "a"), expected)


def test_the_scale_of_a_step_does_not_matter():
    tau = np.random.default_rng(0).standard_normal((3, 50))
    scaled = tau * np.array([[1], [1e3], [1e-4]])
    assert np.allclose(trajectory_score(tau, [1, 2, 3], "a"), trajectory_score(scaled, [1, 2, 3], "a"))


def test_equal_scores_have_no_weight():
    with pytest.raises(WaypointError, match="target a at step 300 are all equal"):
        trajectory_score(np.array([[1.0, 2], [5, 5]]), [100, 300], "a")
