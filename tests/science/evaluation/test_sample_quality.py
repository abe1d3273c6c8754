"""The loss of a model that knows only means and a variance, against sampling; and what is called noise."""

import numpy as np
import pytest

from waypoint.science.evaluation.sample_quality import BLIND, FAR, SampleQuality, blind_loss, quality


def test_the_blind_loss_is_that_of_the_best_predictor_without_structure():
    """x ~ N(0, σ²): ε given x_t is predicted by linear regression, whose error is measured."""
    rng, variance = np.random.default_rng(0), 0.3
    alpha_bars, found = np.array([0.99, 0.7, 0.2, 0.01]), []
    for alpha_bar in alpha_bars:
        epsilon, x0 = rng.standard_normal((2, 400_000)) * np.array([[1], [variance**0.5]])
        x_t = alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * epsilon
        slope = (x_t @ epsilon) / (x_t @ x_t)
        found.append(np.mean((epsilon - slope * x_t) ** 2))
    assert blind_loss(variance, alpha_bars) == pytest.approx(np.mean(found), rel=0.01)


def test_without_variance_nothing_is_left_to_predict():
    assert blind_loss(0, np.array([0.9, 0.1])) == 0


def test_ratios_are_of_medians_and_noise_is_far_or_blind():
    seen = quality([3.0, 1.0, 2.0], [1.0, 4.0, 2.0], 0.1, 0.4)
    assert (seen.distance, seen.loss, seen.noise) == (1.0, 0.25, False)
    assert SampleQuality(FAR, 0).noise and SampleQuality(0, BLIND).noise
    assert not SampleQuality(FAR - 0.01, BLIND - 0.01).noise
    assert "0.25 times that" in seen.in_words()
