"""Algorithm 1 against an oracle: explicit loops over checkpoints, images, draws and an explicit P.

In double precision, so that rounding stays far below every tolerance, whatever the order of a processor's sums.
"""

import numpy as np
import pytest
import torch
from support import images, target_example, tiny_denoiser, train_example, values

from waypoint.errors import WaypointError
from waypoint.science import algorithm1
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.hooks import trainable
from waypoint.science.projection import PROJECTIONS

N, D, K, STEPS, DAMPING = 6, 5, 3, (100, 500), 0.1


def alpha_bar(t):
    """ᾱ_t of the linear schedule, multiplied out."""
    betas = np.linspace(1e-4, 0.02, 1000)
    return float(np.prod(1 - betas[: t + 1]))


def oracle_gradient(unet, x0, t, epsilon):
    """∇_θ of the element-mean of (ε - ε_θ(√ᾱ x0 + √(1-ᾱ) ε, t))² for one draw."""
    a = alpha_bar(int(t))
    noisy = a**0.5 * x0 + (1 - a) ** 0.5 * epsilon
    loss = ((epsilon - unet(noisy[None], torch.tensor([int(t)])).sample[0]) ** 2).mean()
    unet.zero_grad()
    loss.backward()
    return torch.cat([q.grad.reshape(-1) for q in unet.parameters()]).double()


def oracle_x0_hat(unet, x_t, t):
    a = alpha_bar(t)
    with torch.no_grad():
        epsilon = unet(x_t[None], torch.tensor([t])).sample[0]
    return ((x_t - (1 - a) ** 0.5 * epsilon) / a**0.5).clamp(-1, 1)


def oracle(thetas, projections, z, x):
    total = np.zeros((len(STEPS), N))
    for name, theta in thetas.items():
        matrix = projections[name].project(torch.eye(sum(q.numel() for q in trainable(theta.unet)))).double()
        phi = torch.stack(
            [
                torch.stack([oracle_gradient(theta.unet, e.x0[k], e.t[k], e.epsilon[k]) for k in range(K)]).mean(0)
                @ matrix
                for e in (train_example(z[i], i, K, checkpoint=name) for i in range(N))
            ]
        ).numpy()
        kernel = phi.T @ phi
        kernel += DAMPING * np.trace(kernel) / min(N, D) * np.eye(D)
        for s, t in enumerate(STEPS):
            example = target_example(oracle_x0_hat(theta.unet, x[t], t), t, checkpoint=name)
            gradients = [oracle_gradient(theta.unet, example.x0[k], t, example.epsilon[k]) for k in range(4)]
            g = (torch.stack(gradients).mean(0) @ matrix).numpy()
            for i in range(N):
                total[s, i] += phi[i] @ np.linalg.inv(kernel) @ g / len(thetas)
    return total


@pytest.fixture(params=PROJECTIONS)
def setting(tiny_model, request):
    thetas = {name: tiny_denoiser(tiny_model, name) for name in ("full/0", "full/1")}
    for theta in thetas.values():
        theta.unet.double()
        theta.alphas_cumprod = (1 - theta.scheduler.betas.double()).cumprod(0)
    projections = {name: PROJECTIONS[request.param](0, name, D) for name in thetas}
    x = dict(zip(STEPS, values(2, 1, 8, 8, seed=5)))
    return thetas, projections, images(N).double(), x


def test_scores_equal_the_explicit_loops(setting):
    thetas, projections, z, x = setting
    settings = {"damping": DAMPING, "projection": type(projections["full/0"]), "trajectory": "trajectory"}
    expected, tau = oracle(*setting), algorithm1.attribute(thetas, z, x, K=K, k=4, d=D, **settings)
    assert tau.shape == expected.shape == (len(STEPS), N)
    assert np.abs(tau - expected).max() <= 1e-5 * np.abs(expected).max()


def test_order_of_images_only_permutes_scores(setting):
    """Each image keeps its draws wherever it stands in a batch."""
    theta, P, z = setting[0]["full/0"], setting[1]["full/0"], setting[2]
    rows = {}
    for order in (range(N), [4, 1, 0, 5, 2, 3]):
        examples = [train_example(z[i], i, K) for i in order]
        phi = algorithm1.train_features(theta, P, examples, PerExampleGradients(theta.unet))
        rows[tuple(order)] = phi[np.argsort(list(order))]
    first, second = rows.values()
    assert (first - second).abs().max() <= 1e-9 * first.abs().max()


@pytest.mark.parametrize("batch", [1, 4])
def test_batch_size_does_not_matter(setting, batch):
    theta, P, z = setting[0]["full/0"], setting[1]["full/0"], setting[2]
    examples = [train_example(z[i], i, K) for i in range(N)]
    whole = algorithm1.train_features(theta, P, examples, PerExampleGradients(theta.unet))
    parts = [
        algorithm1.train_features(theta, P, examples[start : start + batch], PerExampleGradients(theta.unet))
        for start in range(0, N, batch)
    ]
    assert whole.dtype == torch.float64 and (torch.cat(parts) - whole).abs().max() <= 1e-9 * whole.abs().max()


def test_a_scheduler_that_predicts_the_image_is_refused(tiny_model):
    theta = tiny_denoiser(tiny_model)
    theta.scheduler.register_to_config(prediction_type="sample")
    with pytest.raises(WaypointError, match="scheduler.prediction_type 'sample' is not supported"):
        algorithm1.attribute({"full/0": theta}, images(N), {100: images(1)[0]}, K=K, k=4, d=D)


def test_the_papers_kernel_needs_as_many_images_as_columns(tiny_model):
    with pytest.raises(WaypointError, match="kernel.damping: 0"):
        x = {100: images(1)[0]}
        algorithm1.attribute({"full/0": tiny_denoiser(tiny_model)}, images(N), x, K=K, k=4, d=N + 1, damping=0)
