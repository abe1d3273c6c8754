"""Distances between images, of seed consistency and of x̂0_t, against explicit loops over pixels."""

import itertools
import math

import numpy as np
import pytest

from waypoint.science.evaluation.one_step_error import one_step_error
from waypoint.science.evaluation.pixel_distance import l2
from waypoint.science.evaluation.seed_consistency import distances


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def apart(a, b):
    """‖a − b‖₂, one number after another."""
    return math.sqrt(math.fsum((float(p) - float(q)) ** 2 for p, q in zip(a.flatten(), b.flatten(), strict=True)))


def test_by_hand():
    black, white = np.zeros((3, 4, 4), np.float32), np.full((3, 4, 4), 0.5, np.float32)
    assert l2(black, white) == pytest.approx(math.sqrt(48) / 2)
    assert l2(white, white) == 0


def test_every_image_has_its_distance_to_one_image_or_to_its_counterpart():
    images, original = numbers(2, 3, 1, 4, 5), numbers(1, 4, 5, seed=1)
    others, to_original = numbers(2, 3, 1, 4, 5, seed=2), l2(images, original)
    assert to_original.shape == (2, 3) and to_original.dtype == np.float64
    for where in np.ndindex(2, 3):
        assert to_original[where] == pytest.approx(apart(images[where], original), rel=1e-12)
        assert l2(images, others)[where] == pytest.approx(apart(images[where], others[where]), rel=1e-12)


def test_a_small_difference_of_large_values_is_not_lost():
    images = np.full((1, 1, 2, 2), 1000, np.float32)
    assert l2(images, images + np.float32(1e-3))[0] == pytest.approx(2 * (float(np.float32(1000.001)) - 1000), rel=1e-9)


def test_seed_consistency_compares_every_two_models():
    """With the same noise, and model a's images with those that model b made of its own noise."""
    same, independent = numbers(3, 2, 1, 4, 4), numbers(3, 2, 1, 4, 4, seed=1)
    found = {(a, b, noise): values for a, b, noise, values in distances(same, independent)}
    assert found.keys() == {(a, b, n) for a, b in ((0, 1), (0, 2), (1, 2)) for n in ("same", "independent")}
    for (a, b, noise), target in itertools.product(found, range(2)):
        other = (same if noise == "same" else independent)[b, target]
        assert found[a, b, noise][target] == pytest.approx(apart(same[a, target], other), rel=1e-12)


def test_one_step_error_is_that_of_explicit_loops():
    n, x0_hat, samples = 5, numbers(1, 3, 4), numbers(5, 1, 3, 4, seed=1)
    squares, variances = [], []
    for where in np.ndindex(1, 3, 4):
        values = [float(sample[where]) for sample in samples]
        mean = math.fsum(values) / n
        squares.append((float(x0_hat[where]) - mean) ** 2)
        variances.append(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    found, spread = one_step_error(x0_hat, samples), math.sqrt(math.fsum(variances))
    assert found["l2"] == pytest.approx(math.sqrt(math.fsum(squares)), rel=1e-12)
    assert found["spread"] == pytest.approx(spread, rel=1e-12)
    assert found["l2_noise"] == pytest.approx(spread / math.sqrt(n), rel=1e-12) and found["samples"] == n


def test_where_x0_hat_is_the_mean_of_p_the_error_is_that_of_the_samples():
    found = [one_step_error(np.zeros((1, 6, 6)), numbers(8, 1, 6, 6, seed=seed)) for seed in range(200)]
    squares = {name: np.mean([one[name] ** 2 for one in found]) for name in ("l2", "l2_noise")}
    assert squares["l2"] == pytest.approx(squares["l2_noise"], rel=0.1)
