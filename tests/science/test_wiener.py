"""The Gaussian control: leave-one-out against Gaussians that are really fitted again, f against sampled noise."""

import numpy as np
import pytest

from waypoint.errors import WaypointError
from waypoint.science import wiener

ALPHA_BARS = [0.999, 0.6, 0.02]
SHAPE = (2, 3, 4)
MASKS = {
    "whole": None,
    "weighted": np.random.default_rng(9).random((3, 4)).astype(np.float32),
    "few pixels": np.eye(3, 4, dtype=np.float32),
}
every_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)


def pictures(n, shape=SHAPE, seed=0):
    """Images with unequal variances and correlations, not centred."""
    random = np.random.default_rng(seed)
    mixing = random.standard_normal((np.prod(shape), np.prod(shape))) * np.linspace(0.05, 1, np.prod(shape))
    return (random.standard_normal((n, np.prod(shape))) @ mixing.T + random.standard_normal()).reshape(n, *shape)


def in_blocks(images, size=7):
    return lambda: ((start, images[start : start + size]) for start in range(0, len(images), size))


def gathered(parts):
    return np.concatenate([tau for _, tau in parts], axis=1)


def element_weights(mask, shape):
    """W's diagonal (D,): the mean over positions weighted by the mask, plain over channels."""
    mask = np.ones(shape[-2:]) if mask is None else mask.astype(np.float64)
    return np.broadcast_to(mask / mask.sum() / shape[0], shape).ravel()


def direct(images, x0_hat, alpha_bar, mask):
    """f of the denoiser of a Gaussian fitted to these images, with dense matrices and no eigenbasis."""
    flat, w = images.reshape(len(images), -1).astype(np.float64), element_weights(mask, images.shape[1:])
    dim = flat.shape[1]
    covariance = np.cov(flat, rowvar=False, bias=True) + wiener.REGULARISER * np.eye(dim)
    inverse = np.linalg.inv(alpha_bar * covariance + (1 - alpha_bar) * np.eye(dim))
    kept = np.eye(dim) - (1 - alpha_bar) * inverse
    shift = inverse @ (x0_hat.ravel() - flat.mean(0))
    return w @ (kept**2).sum(1) + alpha_bar * (1 - alpha_bar) * w @ shift**2


@every_mask
@pytest.mark.parametrize("n", [2, 11, 60])
def test_scores_are_what_refitting_without_each_image_changes(n, mask):
    """Also with fewer images than pixels, where the covariance is singular."""
    images, x0_hat = pictures(n), pictures(3, seed=1)
    found = gathered(wiener.scores(wiener.fit(in_blocks(images)), in_blocks(images), x0_hat, ALPHA_BARS, mask))
    for s, alpha_bar in enumerate(ALPHA_BARS):
        whole = direct(images, x0_hat[s], alpha_bar, mask)
        expected = [direct(np.delete(images, i, 0), x0_hat[s], alpha_bar, mask) - whole for i in range(n)]
        assert np.abs(found[s] - expected).max() <= 1e-10 * np.abs(expected).max()


@every_mask
def test_f_is_the_error_of_the_explicit_optimal_denoiser(mask):
    """E[z | x] by conditioning the Gaussian, ε̂ from it, and the mean error over 50,000 noises: within 4 errors."""
    images, x0_hat = pictures(40), pictures(3, seed=1)
    flat, dim = images.reshape(40, -1), images[0].size
    mean, covariance = flat.mean(0), np.cov(flat, rowvar=False, bias=True) + wiener.REGULARISER * np.eye(dim)
    found = wiener.output(wiener.fit(in_blocks(images)), x0_hat, ALPHA_BARS, mask)
    epsilon = np.random.default_rng(2).standard_normal((50_000, dim))
    for s, alpha_bar in enumerate(ALPHA_BARS):
        signal, noise = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
        x = signal * x0_hat[s].ravel() + noise * epsilon
        gain = signal * covariance @ np.linalg.inv(signal**2 * covariance + noise**2 * np.eye(dim))
        denoised = mean + (x - signal * mean) @ gain.T
        errors = (epsilon - (x - signal * denoised) / noise) ** 2 @ element_weights(mask, SHAPE)
        assert abs(found[s] - errors.mean()) < 4 * errors.std() / len(errors) ** 0.5


def test_an_image_that_is_the_target_lowers_f():
    """The sign: removing a copy of x̂0_t raises f, and of all images it does so most."""
    images = pictures(30)
    x0_hat = images[[4]] + 0.01
    tau = gathered(wiener.scores(wiener.fit(in_blocks(images)), in_blocks(images), x0_hat, [0.7]))[0]
    assert tau[4] > 0 and tau.argmax() == 4


def test_blocks_and_company_do_not_matter():
    """Scores of a step are the same in blocks of any size and beside other steps; blocks say where they start."""
    images, x0_hat = pictures(30).astype(np.float32), pictures(3, seed=1)
    gaussian = wiener.fit(in_blocks(images, 30))
    whole = gathered(wiener.scores(gaussian, in_blocks(images, 30), x0_hat, ALPHA_BARS))
    parts = list(wiener.scores(wiener.fit(in_blocks(images, 4)), in_blocks(images, 4), x0_hat[1:], ALPHA_BARS[1:]))
    assert [start for start, _ in parts] == list(range(0, 30, 4))
    assert np.abs(gathered(parts) - whole[1:]).max() < 1e-10 * np.abs(whole).max()


def test_a_mask_of_ones_is_no_mask():
    images, x0_hat = pictures(20), pictures(1, seed=1)
    gaussian = wiener.fit(in_blocks(images))
    both = [gathered(wiener.scores(gaussian, in_blocks(images), x0_hat, [0.5], m)) for m in (None, np.ones((3, 4)))]
    assert np.allclose(*both, rtol=1e-9, atol=0)


@pytest.mark.parametrize("alpha_bar", [0.0, 1.0])
def test_a_step_at_which_f_does_not_depend_on_the_images_is_refused(alpha_bar):
    images = pictures(10)
    with pytest.raises(WaypointError, match="wiener.*leave this step out"):
        wiener.scores(wiener.fit(in_blocks(images)), in_blocks(images), images[:1], [alpha_bar])


@pytest.mark.parametrize("mask", [np.ones((4, 3)), np.zeros((3, 4)), -np.ones((3, 4))], ids=["size", "empty", "sign"])
def test_a_mask_that_selects_nothing_or_does_not_fit_is_refused(mask):
    images = pictures(10)
    with pytest.raises(WaypointError, match="mask of shape"):
        wiener.output(wiener.fit(in_blocks(images)), images[:1], [0.5], mask)


def test_a_single_image_cannot_be_left_out():
    with pytest.raises(WaypointError, match="wiener: 1 training images"):
        wiener.fit(in_blocks(pictures(1)))


def test_images_without_room_for_their_covariance_are_refused():
    with pytest.raises(WaypointError, match="wiener: images of 16384 numbers"):
        wiener.fit(in_blocks(np.zeros((2, 1, 128, 128))))
