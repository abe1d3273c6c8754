"""trak-sum: the sum over steps of scores divided by their spread."""

import numpy as np
import pytest

from waypoint.errors import WaypointError
from waypoint.science.trajectory_score import step_weights, trajectory_score


def summed(tau, steps):
    return trajectory_score(tau, step_weights(tau, steps, "a"))


def test_each_step_counts_by_its_own_spread():
    tau = np.array([[1.0, -1, 1, -1], [30, 10, -10, -30]])
    spread = [1.0, np.sqrt(500)]
    expected = [tau[0, i] / spread[0] + tau[1, i] / spread[1] for i in range(4)]
    assert np.allclose(summed(tau, [100, 300]), expected)


def test_the_scale_of_a_step_does_not_matter():
    tau = np.random.default_rng(0).standard_normal((3, 50))
    scaled = tau * np.array([[1], [1e3], [1e-4]])
    assert np.allclose(summed(tau, [1, 2, 3]), summed(scaled, [1, 2, 3]))


def test_equal_scores_have_no_weight():
    with pytest.raises(WaypointError, match="target a at step 300 are all equal"):
        step_weights(np.array([[1.0, 2], [5, 5]]), [100, 300], "a")


def test_the_sums_of_parts_have_the_sum_of_the_mean_as_their_mean():
    parts = np.random.default_rng(0).standard_normal((4, 3, 50))
    weights = step_weights(parts.mean(0), [1, 2, 3], "a")
    assert np.allclose(trajectory_score(parts, weights).mean(0), summed(parts.mean(0), [1, 2, 3]))
