"""Stable Diffusion folders as given models: schedulers, what loads silently and is not the same, fitting encoders."""

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler
from pipelines import SCHEDULE, WIDTH, stable_diffusion

from waypoint.errors import WaypointError
from waypoint.store.networks import checkpoints

BETAS = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2  # scaled_linear, in closed form
SILENT = {"flip_sin_to_cos": False, "freq_shift": 1, "norm_eps": 1e-2}
EULER = {key: value for key, value in SCHEDULE.items() if key != "set_alpha_to_one"}


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return stable_diffusion(tmp_path_factory.mktemp("pipelines") / "plain")


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_scheduler_of_another_kind_gives_its_betas_and_prediction(tmp_path, prediction):
    theta = checkpoints.load(stable_diffusion(tmp_path, prediction_type=prediction), sampler="ddpm")
    config = theta.scheduler.config
    assert isinstance(theta.scheduler, DDPMScheduler) and config.prediction_type == prediction
    assert not config.clip_sample and theta.shape == (4, 4, 4) and theta.conditioned_by == "encoder_hidden_states"
    assert np.allclose(theta.alphas_cumprod, np.cumprod(1 - BETAS), rtol=1e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_estimate_and_noise_follow_from_either_prediction(tmp_path, monkeypatch, prediction):
    """A network that outputs ε, or v = √ᾱ ε − √(1−ᾱ) x0, exactly gives back x0 and ε; read as the other it does not."""
    theta = checkpoints.load(stable_diffusion(tmp_path, prediction_type=prediction), sampler="ddpm")
    x0, epsilon = numbers(2, 4, 4, 4), numbers(2, 4, 4, 4, seed=1)
    for t in (100, 400, 999):
        alpha_bar = float(np.prod(1 - BETAS[: t + 1]))
        signal, scale = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
        out = epsilon if prediction == "epsilon" else signal * epsilon - scale * x0
        monkeypatch.setattr(theta, "output", lambda *_, out=out: out)
        x_t = signal * x0 + scale * epsilon
        assert torch.allclose(theta.x0_hat(x_t, t, out, "scheduler"), x0, atol=2e-3)
        assert torch.allclose(theta.epsilon(x_t, t), epsilon, atol=2e-3)
        theta.predicts_v = not theta.predicts_v
        assert not torch.allclose(theta.x0_hat(x_t, t, out, "scheduler"), x0, atol=2e-2)
        theta.predicts_v = not theta.predicts_v


@pytest.mark.parametrize("key", SILENT)
def test_conditional_networks_of_equal_shapes_are_not_equal(tmp_path, folder, key):
    plain = checkpoints.load(folder, sampler="ddpm")
    other = checkpoints.load(stable_diffusion(tmp_path, **{key: SILENT[key]}), sampler="ddpm")
    assert other.unet.load_state_dict(plain.unet.state_dict(), strict=True)  # no error: every shape agrees
    with torch.no_grad():
        made = [model.output(numbers(2, 4, 4, 4), 500, numbers(2, 3, WIDTH)) for model in (plain, other)]
    assert (made[0] - made[1]).abs().max() > 1e-4
    with pytest.raises(WaypointError, match=f"mine and theirs have different unet configs:\n  {key}: "):
        checkpoints.require_same(other, plain, "mine", "theirs")


def test_other_predictions_of_equal_shapes_are_not_equal(tmp_path, folder):
    other = checkpoints.load(stable_diffusion(tmp_path, prediction_type="v_prediction"), sampler="ddpm")
    with pytest.raises(WaypointError, match="prediction_type: 'v_prediction' against 'epsilon'"):
        checkpoints.require_same(other, checkpoints.load(folder, sampler="ddpm"), "mine", "theirs")


@pytest.mark.parametrize(
    "scheduler, sampler, words",
    [
        (EulerDiscreteScheduler(**EULER), None, "scheduler EulerDiscreteScheduler .* set checkpoints.sampler: ddpm"),
        (FlowMatchEulerDiscreteScheduler(), None, "scheduler FlowMatchEulerDiscreteScheduler is not supported"),
        (FlowMatchEulerDiscreteScheduler(), "ddpm", "FlowMatchEulerDiscreteScheduler has no beta_end"),
        (DDPMScheduler(**EULER | {"prediction_type": "sample"}), None, "prediction_type 'sample' is not supported"),
        (EulerDiscreteScheduler(**EULER, prediction_type="sample"), "ddpm", "prediction_type 'sample' is not"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_computed_is_refused(tmp_path, scheduler, sampler, words):
    path = stable_diffusion(tmp_path / "a")
    scheduler.save_pretrained(tmp_path / "a/scheduler")
    with pytest.raises(WaypointError, match=words):
        checkpoints.load(path, sampler=sampler)


def test_euler_is_sampled_ancestrally_on_request(tmp_path):
    path = stable_diffusion(tmp_path / "a")
    EulerDiscreteScheduler(**EULER, prediction_type="v_prediction").save_pretrained(tmp_path / "a/scheduler")
    theta = checkpoints.load(path, sampler="ddpm", timestep_spacing="trailing")
    theta.scheduler.set_timesteps(300)
    assert theta.predicts_v and int(theta.scheduler.timesteps[0]) == 999
    assert np.allclose(theta.alphas_cumprod, np.cumprod(1 - BETAS), rtol=1e-4)


@pytest.mark.parametrize(
    "unet, width, channels, words",
    [
        ({}, None, 4, "attends to captions .cross_attention_dim 16., but there is no text_encoder"),
        ({}, 24, 4, "but text_encoder embeds them in 24 numbers"),
        ({}, WIDTH, 2, "takes 4 channels, but the VAE's latents have 2; fit vae"),
        ({"out_channels": 8}, WIDTH, 4, "takes 4 channels of size 4 and gives 8"),
    ],
)
def test_encoders_that_do_not_fit_are_refused(tmp_path, unet, width, channels, words):
    theta = checkpoints.load(stable_diffusion(tmp_path, **unet), sampler="ddpm")
    with pytest.raises(WaypointError, match=words):
        checkpoints.require_encoders(theta, "checkpoint x", width, channels)


def test_encoders_that_fit_are_accepted(folder):
    checkpoints.require_encoders(checkpoints.load(folder, sampler="ddpm"), "checkpoint x", WIDTH, 4)
