"""Agreement of halves against simulation with a known signal and noise."""

import numpy as np
from scipy.stats import spearmanr

from waypoint.science.evaluation.split_half import signal_to_noise, split_half_reliability


def test_agreement_is_spearman_per_row():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3, 40))
    r, _ = split_half_reliability(a, b)
    assert np.allclose(r, [spearmanr(x, y)[0] for x, y in zip(a, b)])


def test_the_whole_agrees_with_another_whole_as_predicted():
    """Four parallel halves: the mean of two correlates with the mean of the other two as Spearman and Brown say."""
    rng = np.random.default_rng(1)
    halves = rng.standard_normal(20_000) + 1.5 * rng.standard_normal((4, 20_000))
    _, full = split_half_reliability(halves[0], halves[1])
    expected = spearmanr(halves[:2].mean(0), halves[2:].mean(0))[0]
    assert abs(full - expected) < 0.02


def test_constant_scores_have_no_agreement():
    r, full = split_half_reliability(np.ones((1, 9)), np.arange(9.0)[None])
    assert np.isnan(r).all() and np.isnan(full).all()


def test_signal_to_noise():
    score, error = np.array([[3.0, -3, 3, -3]]), np.full((1, 4), 1.5)
    assert np.allclose(signal_to_noise(score, error), [2.0])
    assert np.isnan(signal_to_noise(score, np.zeros((1, 4)))).all()


def test_halves_that_disagree_say_nothing_of_the_whole():
    r, full = split_half_reliability(np.arange(9.0)[None], -np.arange(9.0)[None])
    assert np.allclose(r, -1) and np.isnan(full).all()
