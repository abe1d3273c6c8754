"""Small models and examples that several tests use."""

import torch

from waypoint.science.draws import target_noise, train_draws
from waypoint.science.gradients import Example
from waypoint.store import models

SHAPE = (1, 8, 8)


def tiny_denoiser(model, name="full/0", **unet):
    """An untrained denoiser, the same for the same name."""
    denoiser = models.build({**model, "unet": {**model["unet"], **unet}}, 0, name)
    denoiser.unet.eval()
    return denoiser


def images(n, seed=0):
    """n smooth images in [-1, 1]."""
    noise = torch.randn(n, 1, 2, 2, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, size=(8, 8), mode="bilinear").tanh()


def train_example(x0, index, K=3, scheme="independent", checkpoint="full/0", T=1000):
    """Training image ``index`` with its draws."""
    t, epsilon = train_draws(0, checkpoint, index, scheme, K, T, SHAPE)
    return Example(x0.expand(epsilon.shape), t, epsilon)


def target_example(x0_hat, t, k=4, weight=None, key="trajectory"):
    """x̂0_t at step t with its noises."""
    epsilon = torch.stack([target_noise(0, key, t, draw, SHAPE) for draw in range(k)])
    return Example(x0_hat.expand(epsilon.shape), torch.full((k,), t), epsilon, weight=weight)
