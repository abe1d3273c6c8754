"""Noise, one-step estimates and sampling against diffusers' own scheduler and pipeline."""

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler
from support import images, tiny_denoiser

from waypoint.errors import WaypointError
from waypoint.science.processes.ddpm import check_scheduler, continuations, generate, samples, trajectory
from waypoint.science.random_streams import torch_stream
from waypoint.science.timesteps import sampling_grid

SCHEDULERS = [
    {},
    {"beta_schedule": "squaredcos_cap_v2"},
    {"prediction_type": "v_prediction"},
    {"clip_sample": False, "variance_type": "fixed_large"},
    {"clip_sample_range": 0.5},
]


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=SCHEDULERS, ids=str)
def theta(request, tiny_model):
    return tiny_denoiser({**tiny_model, "scheduler": request.param})


def test_add_noise_is_the_schedulers(theta):
    x0, epsilon, t = images(4), noise(4, 1, 8, 8), torch.tensor([0, 10, 500, 999])
    assert torch.equal(theta.add_noise(x0, epsilon, t), theta.scheduler.add_noise(x0, epsilon, t))


@pytest.mark.parametrize("t", [0, 3, 400, 999])
def test_x0_hat_is_the_schedulers_pred_original_sample(theta, t):
    x_t = noise(2, 1, 8, 8)
    with torch.no_grad():
        out = theta.output(x_t, t)
        theirs = theta.scheduler.step(out, t, x_t, generator=torch.Generator()).pred_original_sample
        ours = theta.x0_hat(x_t, t, out, "scheduler")
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5 * theirs.abs().max())


def test_x0_hat_is_only_clipped_where_scheduler_and_config_say_so(tiny_model):
    for clips, clip, bound in [(True, "scheduler", 1), (True, "none", 5), (False, "scheduler", 5)]:
        theta = tiny_denoiser({**tiny_model, "scheduler": {"clip_sample": clips}})
        estimate = theta.x0_hat(torch.full((1, 1, 8, 8), 5.0), 0, torch.zeros(1, 1, 8, 8), clip)
        assert estimate.max() == pytest.approx(bound, rel=1e-3)


def test_noise_and_v_describe_the_same_estimate(tiny_model):
    """A network that outputs v = √ᾱ ε - √(1-ᾱ) x0 exactly gives back both x0 and ε."""
    theta = tiny_denoiser({**tiny_model, "scheduler": {"prediction_type": "v_prediction"}})
    x0, epsilon, t = images(3), noise(3, 1, 8, 8), torch.tensor([5, 300, 990])
    signal, scale = theta.coefficients(t, x0)
    x_t = theta.add_noise(x0, epsilon, t)
    v = signal * epsilon - scale * x0
    theta.output = lambda *_: v
    assert torch.allclose(theta.epsilon(x_t, t), epsilon, atol=1e-5)
    assert torch.allclose(theta.x0_hat(x_t, t, v, "none"), x0, atol=1e-5)


def test_v_models_train_on_v(tiny_model):
    theta = tiny_denoiser({**tiny_model, "scheduler": {"prediction_type": "v_prediction"}})
    x0, epsilon, t = images(2), noise(2, 1, 8, 8), torch.tensor([100, 700])
    v = theta.scheduler.get_velocity(x0, epsilon, t)
    with torch.no_grad():
        expected = (v - theta.unet(theta.scheduler.add_noise(x0, epsilon, t), t).sample).pow(2).flatten(1).mean(1)
        assert torch.allclose(theta.train_loss(x0, t, epsilon), expected)
        assert not torch.allclose(theta.noise_loss(x0, t, epsilon), expected, rtol=1e-2)


@pytest.mark.parametrize("steps", [50, 1000])
def test_trajectory_is_the_pipelines(tiny_model, steps):
    """Same image as DDPMPipeline from the same generator, with the grid's own spacing."""
    theta = tiny_denoiser(tiny_model)
    stream = torch_stream(0, "trajectory", 7)
    grid, x_t, x0_hat, image = trajectory(theta, steps, torch.randn(1, 1, 8, 8, generator=stream), stream)
    pipeline = DDPMPipeline(theta.unet, theta.scheduler)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch_stream(0, "trajectory", 7)
    theirs = pipeline(generator=generator, num_inference_steps=steps, output_type="np").images[0]
    assert np.allclose((image.numpy().clip(-1, 1) + 1) / 2, theirs.transpose(2, 0, 1), atol=1e-5)
    assert grid.tolist() == list(range(1000 - 1000 // steps, -1, -1000 // steps)) and len(x_t) == len(x0_hat) == steps


def test_trajectory_stores_what_the_model_is_called_on(tiny_model):
    theta = tiny_denoiser(tiny_model)
    called = []
    handle = theta.unet.register_forward_pre_hook(
        lambda module, args: called.append((int(args[1]), args[0][0].clone()))
    )
    grid, x_t, _, image = trajectory(theta, 10, noise(1, 1, 8, 8), torch.Generator().manual_seed(1))
    handle.remove()
    assert [t for t, _ in called] == grid.tolist()
    assert all(torch.equal(x, seen) for x, (_, seen) in zip(x_t, called))
    assert not torch.equal(x_t[-1], image)


def test_continuations_restart_at_x_t_with_fresh_noise(tiny_model):
    theta = tiny_denoiser(tiny_model)
    grid, x_t, _, image = trajectory(theta, 20, noise(1, 1, 8, 8), torch.Generator().manual_seed(1))
    at = grid.tolist().index(300)
    streams = lambda n: [torch_stream(0, "continuation", k) for k in range(n)]  # noqa: E731
    three = continuations(theta, 20, x_t[at], 300, streams(3))
    assert torch.allclose(continuations(theta, 20, x_t[at], 300, streams(1))[0], three[0], atol=1e-5)
    assert not torch.allclose(three[0], three[1]) and not torch.allclose(three[0], image)
    # at the last step no noise is left: every continuation is the image
    assert torch.allclose(continuations(theta, 20, x_t[-1], 0, streams(2)), image.expand(2, 1, 8, 8), atol=1e-6)


@pytest.mark.parametrize("t", [300, 437], ids=["on the grid", "between"])
def test_continuations_go_down_the_rest_of_the_grid(tiny_model, t):
    """The same chain as diffusers' scheduler, called step by step from x_t on with the same noise."""
    theta, x_t = tiny_denoiser(tiny_model), noise(1, 8, 8)
    theta.scheduler.set_timesteps(timesteps=[t, *(s for s in range(950, -1, -50) if s < t)])
    x, stream = x_t[None], torch_stream(0, "continuation")
    with torch.no_grad():
        for s in theta.scheduler.timesteps:
            x = theta.scheduler.step(theta.unet(x, s).sample, s, x, generator=stream).prev_sample
    found = continuations(theta, 20, x_t, t, [torch_stream(0, "continuation")])
    assert torch.allclose(found, x, atol=1e-5)


def called(theta, name, calls):
    """Record the steps at which a denoiser's network is called."""
    theta.unet.register_forward_pre_hook(lambda module, args: calls.append((name, int(args[1]))))
    return theta


@pytest.mark.parametrize("delta,swapped", [(1, [400]), (50, [400]), (51, [400, 350]), (100, [400, 350]), (999, None)])
def test_a_swap_makes_only_the_calls_in_its_interval(tiny_model, delta, swapped):
    """(t − Δ, t] = (300, 400] on a grid of 50: the calls at 400 and 350, and not at 300."""
    calls, x_t = [], noise(1, 8, 8)
    theta, other = (called(tiny_denoiser(tiny_model, name), name, calls) for name in ("full/0", "full/1"))
    streams = lambda: [torch_stream(0, "continuation", k) for k in range(3)]  # noqa: E731
    mixed = continuations(theta, 20, x_t, 400, streams(), swap=(other, delta))
    grid = [400, 350, 300, 250, 200, 150, 100, 50, 0]
    assert calls == [("full/1" if s in (swapped or grid) else "full/0", s) for s in grid]
    # the same chain by hand: all noises are those of the chain without a swap
    theta.scheduler.set_timesteps(timesteps=grid)
    x, own = x_t.expand(3, 1, 8, 8), streams()
    with torch.no_grad():
        for s in grid:
            network = other if s > 400 - delta else theta
            x = theta.scheduler.step(network.unet(x, s).sample, s, x, generator=own).prev_sample
    assert torch.equal(mixed, x) and not torch.allclose(mixed, continuations(theta, 20, x_t, 400, streams()), atol=1e-3)


def test_swapping_in_the_same_weights_changes_no_bit(tiny_model):
    theta, again, x_t = tiny_denoiser(tiny_model), tiny_denoiser(tiny_model), noise(1, 8, 8)
    streams = lambda: [torch_stream(0, "continuation", k) for k in range(5)]  # noqa: E731
    alone = continuations(theta, 20, x_t, 400, streams())
    assert torch.equal(continuations(theta, 20, x_t, 400, streams(), swap=(again, 100)), alone)


def test_a_seed_gives_x_T_and_then_every_steps_noise(tiny_model):
    theta, stream = tiny_denoiser(tiny_model), torch_stream(0, "trajectory", 7)
    _, x_t, x0_hat, image = trajectory(theta, 10, torch.randn(1, 1, 8, 8, generator=stream), stream)
    found = generate(theta, 10, torch_stream(0, "trajectory", 7))
    assert all(torch.equal(a, b) for a, b in zip(found[1:], (x_t, x0_hat, image)))


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("steps", [1, 7, 50, 300, 1000])
@pytest.mark.parametrize("offset", [0, 1])
def test_planning_grid_is_the_schedulers(spacing, steps, offset):
    scheduler = DDPMScheduler(timestep_spacing=spacing, steps_offset=offset)
    scheduler.set_timesteps(steps)
    theirs = scheduler.timesteps.tolist()
    if theirs[0] > 999:
        with pytest.raises(WaypointError, match="steps_offset"):
            sampling_grid(1000, steps, spacing, offset)
    else:
        assert sampling_grid(1000, steps, spacing, offset) == theirs


@pytest.mark.parametrize(
    "bad", [{"prediction_type": "sample"}, {"variance_type": "learned_range"}, {"thresholding": True}], ids=str
)
def test_unsupported_schedulers_are_refused_by_name(bad):
    with pytest.raises(WaypointError, match=next(iter(bad))):
        check_scheduler(DDPMScheduler(**bad))


def test_samples_side_by_side_are_those_of_their_seeds(theta):
    made = samples(theta, 6, [torch_stream(0, "side by side", k) for k in range(3)])
    for k, image in enumerate(made):
        alone = generate(theta, 6, torch_stream(0, "side by side", k))[-1]
        assert (image - alone).abs().max() < 1e-5 * alone.abs().max()
