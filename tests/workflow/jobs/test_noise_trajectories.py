"""Means over noises and over checkpoints."""

import numpy as np

from waypoint.workflow.jobs.noise_trajectories import mean_and_error


def test_mean_and_standard_error():
    values = np.random.default_rng(0).standard_normal((5, 3, 7))
    mean, error = mean_and_error(values)
    assert np.allclose(mean, sum(values) / 5)
    assert np.allclose(error, np.sqrt(sum((value - mean) ** 2 for value in values) / 4 / 5))


def test_one_checkpoint_has_no_standard_error():
    mean, error = mean_and_error(np.ones((1, 3)))
    assert np.array_equal(mean, np.ones(3)) and error is None
