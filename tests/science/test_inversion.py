"""x_t of a given image: mean, variance, independence by step, and streams of its own."""

import hashlib

import pytest
import torch
from support import tiny_denoiser

from waypoint.science.inversion import inversion_noise, noised

HASH = hashlib.sha256(b"a picture").hexdigest()
STEPS = [900, 500, 100]


@pytest.fixture
def theta(tiny_model):
    return tiny_denoiser(tiny_model)


def test_x_t_has_the_distribution_of_the_forward_process(theta):
    x0 = torch.linspace(-1, 1, 64).reshape(1, 8, 8)
    x_t = torch.stack([noised(theta, x0, STEPS, 0, HASH, noise) for noise in range(400)])  # (400, S, 1, 8, 8)
    for s, t in enumerate(STEPS):
        alpha_bar = theta.alphas_cumprod[t].item()
        error = x_t[:, s] - alpha_bar**0.5 * x0
        n = error.numel()
        assert abs(error.mean()) < 4 * ((1 - alpha_bar) / n) ** 0.5
        # the variance of a sample variance is 2σ⁴/n
        assert abs(error.var() / (1 - alpha_bar) - 1) < 4 * (2 / n) ** 0.5


def test_noises_of_steps_and_of_trajectories_are_independent(theta):
    noise = torch.stack([inversion_noise(0, HASH, k, t, (100, 8, 8)) for k in (0, 1) for t in STEPS]).flatten(1)
    correlation = torch.corrcoef(noise) - torch.eye(len(noise))
    assert correlation.abs().max() < 5 / noise.shape[1] ** 0.5


def test_noises_are_keyed_by_image_and_seed_and_by_nothing_else(theta):
    """Other steps, more trajectories, another model or number of threads: the same noise."""
    first = inversion_noise(0, HASH, 1, 500, (1, 8, 8))
    assert torch.equal(first, inversion_noise(0, HASH, 1, 500, (1, 8, 8)))
    x0 = torch.zeros(1, 8, 8)
    whole, alone = noised(theta, x0, STEPS, 0, HASH, 1), noised(theta, x0, [500], 0, HASH, 1)
    assert torch.equal(whole[1], alone[0])
    assert torch.allclose(alone[0], (1 - theta.alphas_cumprod[500]).sqrt() * first)
    for other in ((1, HASH, 1, 500), (0, HASH[::-1], 1, 500), (0, HASH, 0, 500), (0, HASH, 1, 480)):
        assert not torch.equal(first, inversion_noise(*other, (1, 8, 8)))
    # the numbers themselves: another machine or version of this code must draw the same
    assert torch.allclose(first.flatten()[:3], torch.tensor(KNOWN), atol=1e-6)


KNOWN = [1.6253110, 1.3352755, 1.5094211]
