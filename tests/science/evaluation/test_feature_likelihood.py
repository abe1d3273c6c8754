"""When a class appears: shares of samples, and the interval in which they rise most."""

import numpy as np

from waypoint.science.evaluation.feature_likelihood import nearer_to_first, shares, steepest_interval


def test_shares_are_counts():
    assert shares([[1, 1, 2, 0], [1, 1, 1, 1], [0, 0, 0, 2]], 1).tolist() == [0.5, 1.0, 0.0]


def test_nearer_means_the_larger_cosine_whatever_the_lengths():
    captions = np.array([[1.0, 0.0], [0.0, 9.0]])
    images = np.array([[2.0, 1.0], [1.0, 2.0], [0.2, 0.1], [30.0, 40.0], [1.0, 1.0], [1.0, -1.0]])
    assert nearer_to_first(images, captions).tolist() == [True, False, True, False, False, True]
    angles = np.random.default_rng(0).standard_normal((20, 5))
    pair = np.random.default_rng(1).standard_normal((2, 5)) * [[5], [0.1]]
    expected = [
        float(x @ pair[0] / np.linalg.norm(pair[0])) > float(x @ pair[1] / np.linalg.norm(pair[1])) for x in angles
    ]
    assert nearer_to_first(angles, pair).tolist() == expected and 0 < sum(expected) < 20


def test_the_steepest_interval_goes_from_noise_to_image():
    """The likelihood rises as t falls; order of the steps given does not matter."""
    steps, likelihood = np.array([100, 300, 500, 700]), np.array([0.95, 0.9, 0.2, 0.1])
    assert steepest_interval(steps, likelihood)[:2] == (500, 300)
    assert np.isclose(steepest_interval(steps, likelihood)[2], 0.7)
    shuffled = np.array([2, 0, 3, 1])
    assert steepest_interval(steps[shuffled], likelihood[shuffled])[:2] == (500, 300)


def test_of_equal_rises_the_earliest_in_generation_counts():
    assert steepest_interval([900, 700, 500], [0.0, 0.25, 0.5])[:2] == (900, 700)


def test_what_never_rises_has_no_interval():
    assert steepest_interval([900, 700, 500], [0.5, 0.5, 0.25]) is None
    assert steepest_interval([900], [0.5]) is None


def test_equal_rises_are_equal_in_spite_of_rounding():
    assert steepest_interval([900, 700, 500, 300], [0.0, 0.3, 0.6, 0.9])[:2] == (900, 700)
