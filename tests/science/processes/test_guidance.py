"""Text-conditional denoisers and classifier-free guidance against calls of the network by hand."""

import warnings

import pytest
import torch
from support import SHAPE, TEXT_UNET, captioned, equal_autograd, images, target_example, tiny_denoiser

from waypoint.errors import WaypointWarning
from waypoint.science import algorithm1
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.logra import LoGra
from waypoint.science.processes.ddpm import continuations, generate, repeated, trajectory
from waypoint.science.processes.guidance import Guided, guided
from waypoint.science.projection import Gaussian
from waypoint.science.random_streams import torch_stream

STEPS = torch.tensor([3, 400, 999])
EACH, NULL = captioned(3)


@pytest.fixture(params=["epsilon", "v_prediction"])
def theta(request, tiny_model):
    scheduler = {"prediction_type": request.param, "clip_sample": False}
    return tiny_denoiser({"unet": TEXT_UNET, "scheduler": scheduler})


def network(theta, x, t, condition):
    return theta.unet(x, t, encoder_hidden_states=condition).sample


def by_hand(theta, x, t, condition, scale):
    """null + s (cond − null), two calls."""
    without = network(theta, x, t, NULL.expand_as(condition))
    return without + scale * (network(theta, x, t, condition) - without)


def close(a, b):
    return torch.allclose(a, b, rtol=1e-4, atol=1e-5 * b.abs().max().item())


def test_captions_are_what_the_network_attends_to(theta):
    x = images(3)
    with torch.no_grad():
        assert torch.equal(theta.output(x, STEPS, EACH), network(theta, x, STEPS, EACH))
        assert not close(theta.output(x, STEPS, EACH), theta.output(x, STEPS, EACH.flip(0)))


def test_without_guidance_the_conditional_model_is_used_as_it_is(theta):
    assert guided(theta, NULL, 1) is theta and guided(theta, None, 3) is theta
    assert isinstance(guided(theta, NULL, 1.5), Guided)


@torch.no_grad()
def test_guidance_0_is_the_model_of_the_empty_caption(theta):
    x = images(3)
    assert close(guided(theta, NULL, 0).output(x, STEPS, EACH), network(theta, x, STEPS, NULL.expand_as(EACH)))


@torch.no_grad()
@pytest.mark.parametrize("scale", [0.5, 1, 3, 7.5])
@pytest.mark.parametrize("t", [STEPS, 400], ids=["a step each", "one step"])
def test_guidance_is_the_formula(theta, scale, t):
    x = images(3)
    assert close(Guided(theta, NULL, scale).output(x, t, EACH), by_hand(theta, x, t, EACH, scale))


@torch.no_grad()
def test_one_rows_condition_serves_many(theta):
    x, many = images(3), repeated(EACH[:1], 3)
    assert many.shape == EACH.shape and repeated(None, 3) is None
    assert close(guided(theta, NULL, 3).output(x, STEPS, many), by_hand(theta, x, STEPS, EACH[[0, 0, 0]], 3))


@torch.no_grad()
def test_the_one_step_estimate_and_f_t_are_of_the_guided_noise(theta):
    x, theta3 = images(1), guided(theta, NULL, 3)
    signal, noise = theta.coefficients(400, x)
    out = by_hand(theta, x, 400, EACH[:1], 3)
    epsilon = signal * out + noise * x if theta.predicts_v else out
    assert close(
        algorithm1.one_step_estimate(theta3, x[0], 400, EACH[:1], "scheduler")[None], (x - noise * epsilon) / signal
    )
    drawn = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    x_t = signal * x + noise * drawn
    out = by_hand(theta, x_t, 400, EACH[:1], 3)
    epsilon = signal * out + noise * x_t if theta.predicts_v else out
    found = theta3.noise_loss(x, torch.tensor([400]), drawn, EACH[:1])
    assert close(found, (drawn - epsilon).pow(2).mean()[None])


@torch.no_grad()
def test_sampling_is_the_schedulers_on_guided_outputs(theta):
    x_T, scheduler = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1)), theta.scheduler
    _, _, _, found = trajectory(guided(theta, NULL, 3), 4, x_T, torch_stream("noise"), EACH[:1])
    x, stream = x_T, torch_stream("noise")
    scheduler.set_timesteps(4)
    for t in scheduler.timesteps:
        x = scheduler.step(by_hand(theta, x, t, EACH[:1], 3), t, x, generator=stream).prev_sample
    assert close(found[None], x)


@torch.no_grad()
def test_continuations_follow_the_prompt_and_the_guidance(theta):
    def made(scale, condition):
        streams = [torch_stream("sample", k) for k in range(2)]
        return continuations(guided(theta, NULL, scale), 4, images(1)[0], 500, streams, condition)

    assert not close(made(1, EACH[:1]), made(3, EACH[:1])) and not close(made(1, EACH[:1]), made(1, EACH[1:2]))
    assert close(made(0, EACH[:1]), made(1, NULL[None]))


def test_the_same_seed_under_guidance_1_gives_the_same_bits(theta):
    first, second = (
        generate(model, 4, torch_stream("seed"), EACH[:1])[-1] for model in (theta, guided(theta, NULL, 1))
    )
    assert torch.equal(first, second)


def examples():
    """Two steps of one target, around its x̂0_t, with its prompt."""
    made = [target_example(x0, t) for x0, t in zip(images(2), (100, 500))]
    for example in made:
        example.condition = repeated(EACH[:1], len(example.t))
    return made


@pytest.mark.parametrize("scale", [1, 3])
def test_gradients_of_f_t_equal_one_by_one_autograd(theta, scale):
    prompted = guided(theta, NULL, scale)
    with warnings.catch_warnings():
        warnings.simplefilter("error", WaypointWarning)
        rows = PerExampleGradients(theta.unet)(lambda x: algorithm1.output_function(prompted, x), examples())

    def plainly(x):
        x_t = theta.add_noise(x.x0, x.epsilon, x.t)
        out = by_hand(theta, x_t, x.t, x.condition, scale)
        if theta.predicts_v:
            signal, noise = theta.coefficients(x.t, x_t)
            out = signal * out + noise * x_t
        return (x.epsilon - out).pow(2).flatten(1).mean(1)

    assert equal_autograd(theta.unet, plainly, examples(), rows, tolerance=1e-4)


def test_projected_gradients_of_a_guided_target(theta):
    """Alg. 1 lines 12-13 for a guided f_t, whatever goes through the model at once."""
    prompted, P = guided(theta, NULL, 3), Gaussian(0, "full/0", 16)
    both = algorithm1.target_gradients(prompted, P, examples(), PerExampleGradients(theta.unet))
    alone = [
        algorithm1.target_gradients(prompted, P, [example], PerExampleGradients(theta.unet)) for example in examples()
    ]
    assert both.shape == (2, 16) and close(both, torch.cat(alone))


def test_factorised_inner_products_of_guided_gradients_are_unbiased(tiny_model):
    theta = tiny_denoiser({"unet": TEXT_UNET, "scheduler": {}})
    prompted, found = guided(theta, NULL, 3), []
    exact = PerExampleGradients(theta.unet)(lambda x: algorithm1.output_function(prompted, x), examples()).double()
    for seed in range(16):
        rows = LoGra(theta.unet, seed, "full/0", 8)(lambda x: algorithm1.output_function(prompted, x), examples())
        found.append(rows.double() @ rows.double().T)
    found, expected = torch.stack(found), exact @ exact.T
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - expected).abs() < 4 * error).all()
    norms = expected.diagonal()
    assert (error < 0.3 * (norms[:, None] * norms).sqrt()).all()
