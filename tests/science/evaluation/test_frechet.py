"""Fréchet distance: equal sets, Gaussians with a closed form, and sets that no distance can be taken of."""

import numpy as np
import pytest

from waypoint.errors import WaypointError
from waypoint.science.evaluation.frechet import frechet_distance, moments


def gaussian(n, mean, scale, seed=0):
    """n features (n, F) whose mean and standard deviations are exactly these, and uncorrelated."""
    found = np.random.default_rng(seed).standard_normal((n, len(mean)))
    found -= found.mean(0)
    white = found @ np.linalg.inv(np.linalg.cholesky(np.cov(found, rowvar=False))).T
    return white * scale + mean


def test_equal_sets_have_distance_zero():
    a = gaussian(50, [1.0, 2.0, 3.0], [1.0, 2.0, 0.5])
    assert abs(frechet_distance(a, a)) <= 1e-6 * np.trace(moments(a)[1])


@pytest.mark.parametrize("shape", [(40, 2), (40, 4)])
def test_two_gaussians_have_the_closed_form(shape):
    """|μ_a − μ_b|² + Σ (σ_a − σ_b)² for uncorrelated features."""
    dims = shape[1]
    means, scales = np.arange(2 * dims).reshape(2, dims) / 3, 1 + np.arange(2 * dims).reshape(2, dims) / 5
    a, b = (gaussian(shape[0], means[k], scales[k], seed=k) for k in (0, 1))
    expected = ((means[0] - means[1]) ** 2).sum() + ((scales[0] - scales[1]) ** 2).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_covariance_is_the_unbiased_one():
    a = np.random.default_rng(1).standard_normal((30, 5))
    mean, covariance = moments(a.astype(np.float32))
    centred = a - a.mean(0)
    assert np.allclose(mean, a.mean(0), atol=1e-6) and mean.dtype == np.float64
    assert np.allclose(covariance, centred.T @ centred / 29, atol=1e-6)


@pytest.mark.parametrize("images", [3, 4])
def test_too_few_images_are_refused(images):
    enough = gaussian(20, np.zeros(4), np.ones(4))
    with pytest.raises(WaypointError, match=f"{images} images cannot give the covariance of 4 features"):
        frechet_distance(enough, enough[:images])


def test_a_feature_that_is_not_finite_is_refused():
    a = gaussian(20, np.zeros(4), np.ones(4))
    a[7, 2] = np.nan
    with pytest.raises(WaypointError, match="features of image 7"):
        frechet_distance(a, a)


def test_a_distance_that_is_not_finite_is_refused():
    with pytest.raises(WaypointError, match="Fréchet distance"):
        frechet_distance(gaussian(20, [0.0, 0.0], [1.0, 1.0]), gaussian(20, [1e200, 0.0], [1.0, 1.0]))
