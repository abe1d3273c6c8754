"""DDIM and its inverse against diffusers' sampler, a closed form, and each other."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from support import tiny_denoiser

from waypoint.science.processes import ddim
from waypoint.science.processes.ddpm import Denoiser

MEAN, VARIANCE = 0.3, 0.25


class Gaussian(Denoiser):
    """The optimal denoiser of independent N(MEAN, VARIANCE) pixels."""

    def __init__(self, **scheduler):
        self.scheduler, self.device = DDPMScheduler(clip_sample=False, **scheduler), torch.device("cpu")
        self.alphas_cumprod, self.T, self.predicts_v = self.scheduler.alphas_cumprod, 1000, False

    def output(self, x, t, condition=None):
        signal, noise = self.coefficients(t, x)
        return noise * (x - signal * MEAN) / (signal**2 * VARIANCE + noise**2)


def images(seed=0):
    return MEAN + VARIANCE**0.5 * torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_images_are_those_of_diffusers_sampler(tiny_model, prediction):
    tiny_model["scheduler"] = {"num_train_timesteps": 1000, "prediction_type": prediction, "clip_sample": False}
    theta = tiny_denoiser(tiny_model)
    theirs = DDIMScheduler(clip_sample=False, prediction_type=prediction)
    theirs.set_timesteps(20)
    x = start = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    for t in theirs.timesteps:
        x = theirs.step(theta.prediction(x, int(t)), t, x).prev_sample
    assert torch.allclose(ddim.generate(theta, 20, start[0]), x[0], rtol=1e-4, atol=1e-4)


def test_inverse_and_sampler_undo_each_other():
    """At any number of steps; the plain inversion, of one iterate, does not."""
    x0 = images()
    for steps in (10, 50):
        grid, x_t = ddim.invert(Gaussian(), steps, x0)
        assert grid == ddim.grid_of(Gaussian(), steps) and x_t.shape == (steps, 1, 4, 4)
        again = ddim.generate(Gaussian(), steps, x_t[0])
        assert (again - x0).abs().max() < 1e-3
    _, plain = ddim.invert(Gaussian(), 10, x0, iterations=1)
    assert (ddim.generate(Gaussian(), 10, plain[0]) - x0).abs().max() > 0.05


class Curved(Gaussian):
    """Not a linear map, and no pixel on its own."""

    def output(self, x, t, condition=None):
        return super().output(x, t) + 0.1 * torch.sin(3 * x + x.roll(1, -1))


def test_an_image_comes_back_from_a_denoiser_that_is_not_linear():
    x0 = images(1)
    _, x_t = ddim.invert(Curved(), 20, x0)
    assert (ddim.generate(Curved(), 20, x_t[0]) - x0).abs().max() < 5e-3


def test_every_x_t_lies_on_the_exact_path_of_a_gaussian():
    """The flow that DDIM follows moves each pixel by the ratio of standard deviations: x_t in closed form."""
    theta, x0 = Gaussian(beta_schedule="squaredcos_cap_v2"), images()
    grid, x_t = ddim.invert(theta, 1000, x0)
    alpha_bar = theta.alphas_cumprod[grid].reshape(-1, 1, 1, 1)
    spread = (alpha_bar * VARIANCE + 1 - alpha_bar).sqrt()
    exact = alpha_bar.sqrt() * MEAN + spread * (x0 - MEAN) / VARIANCE**0.5
    assert (x_t - exact).abs().max() < 0.02
    assert (x_t[0] - (x0 - MEAN) / VARIANCE**0.5).abs().max() < 0.02


def test_noise_without_signal_is_where_a_trajectory_may_start(tiny_model):
    """ᾱ_T = 0: x_T is the noise alone, and nothing is divided by it."""
    tiny_model["scheduler"] |= {
        "rescale_betas_zero_snr": True,
        "prediction_type": "v_prediction",
        "timestep_spacing": "trailing",
        "clip_sample": False,
    }
    theta = tiny_denoiser(tiny_model)
    _, x_t = ddim.invert(theta, 10, torch.zeros(1, 8, 8))
    assert torch.isfinite(x_t).all() and torch.isfinite(ddim.generate(theta, 10, x_t[0])).all()
