"""Gradients and scores against traker 0.3.2, the TRAK authors' library.

In its scores traker divides the inverse Gram matrix of every checkpoint by the mean of its absolute entries, so with
one checkpoint its scores must be ours times one constant.
"""

import numpy as np
import torch
from support import examples_with_text, images, target_example, tiny_denoiser, train_example, unet_with_text
from trak import TRAKer
from trak.gradient_computers import FunctionalGradientComputer
from trak.modelout_functions import AbstractModelOutput
from trak.projectors import NoOpProjector
from trak.utils import vectorize

from waypoint.science import algorithm1
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.hooks import trainable

N, K, STEPS, LAMBDA = 7, 3, (100, 500, 900), 1e-4


class DenoisingOutput(AbstractModelOutput):
    """The mean loss of a batch (x0, t, ε) of K draws, as a traker task."""

    def __init__(self):
        super().__init__()

    @staticmethod
    def get_output(model, weights, buffers, x0, t, epsilon):
        alphas = model.alphas[t].reshape(-1, 1, 1, 1)
        noisy = alphas.sqrt() * x0 + (1 - alphas).sqrt() * epsilon
        out = torch.func.functional_call(model, (weights, buffers), args=(noisy, t)).sample
        return (epsilon - out).pow(2).mean()

    def get_out_to_loss_grad(self, model, weights, buffers, batch):
        return torch.ones(len(batch[0]), 1)


class TextOutput(DenoisingOutput):
    """The same of a batch (x0, t, ε, captions)."""

    @staticmethod
    def get_output(model, weights, buffers, x0, t, epsilon, text):
        out = torch.func.functional_call(model, (weights, buffers), args=(x0 + epsilon, t, text)).sample
        return (epsilon - out).pow(2).mean()


def batch(examples, parts=("x0", "t", "epsilon")):
    return [torch.stack([getattr(e, part) for e in examples]) for part in parts]


def check_gradients(unet, task, loss, examples, parts):
    """Rows of the engine equal traker's per-sample gradients."""
    p = sum(q.numel() for q in trainable(unet))
    computer = FunctionalGradientComputer(unet, task, grad_dim=p, dtype=torch.float32, device=torch.device("cpu"))
    theirs = vectorize(computer.compute_per_sample_grad(batch(examples, parts)), device=torch.device("cpu"))
    ours = PerExampleGradients(unet)(loss, examples)
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    assert (ours.flip(0) - theirs).abs().max() > 0.1 * theirs.abs().max()


def test_gradients_are_trakers(tiny_model):
    theta, z = tiny_denoiser(tiny_model), images(N)
    theta.unet.alphas = theta.alphas_cumprod
    examples = [train_example(z[i], i, K) for i in range(N)]
    parts = ("x0", "t", "epsilon")
    check_gradients(theta.unet, DenoisingOutput(), lambda e: algorithm1.train_loss(theta, e), examples, parts)


def test_gradients_of_a_model_with_text_are_trakers():
    unet = unet_with_text()

    def loss(e):
        return (e.epsilon - unet(e.x0 + e.epsilon, e.t, e.condition).sample).pow(2).flatten(1).mean(1)

    check_gradients(unet, TextOutput(), loss, examples_with_text(N, K), ("x0", "t", "epsilon", "condition"))


def test_scores_are_proportional_to_traker(tiny_model, tmp_path):
    # traker inverts the p × p Gram matrix, so p must stay small
    blocks = {"down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"]}
    theta = tiny_denoiser(tiny_model, block_out_channels=[4], norm_num_groups=2, attention_head_dim=4, **blocks)
    z = images(N)
    train = [train_example(z[i], i, K) for i in range(N)]
    target = [target_example(images(1, seed=9)[0], t, k=K) for t in STEPS]

    theta.unet.alphas = theta.alphas_cumprod
    p = sum(q.numel() for q in trainable(theta.unet))
    tracker = TRAKer(
        model=theta.unet,
        task=DenoisingOutput(),
        train_set_size=N,
        save_dir=tmp_path,
        device="cpu",
        projector=NoOpProjector(grad_dim=p, proj_dim=p, seed=0, proj_type="normal", device="cpu"),
        proj_dim=p,
        use_half_precision=False,
        lambda_reg=LAMBDA,
    )
    tracker.load_checkpoint(theta.unet.state_dict(), model_id=0)
    tracker.featurize(batch=batch(train), num_samples=N)
    tracker.finalize_features()
    tracker.start_scoring_checkpoint("steps", theta.unet.state_dict(), model_id=0, num_targets=len(STEPS))
    tracker.score(batch=batch(target), num_samples=len(STEPS))
    theirs = np.array(tracker.finalize_scores("steps")).T

    grad = PerExampleGradients(theta.unet)
    phi = grad(lambda e: algorithm1.train_loss(theta, e), train).numpy() / p**0.5
    g = grad(lambda e: algorithm1.output_function(theta, e), target).numpy() / p**0.5
    ours = algorithm1.attribution(phi, g, LAMBDA * N / np.trace(phi.astype(np.float64) @ phi.T))  # λ is then LAMBDA

    scale = (ours * theirs).sum() / (theirs**2).sum()
    assert np.abs(ours - scale * theirs).max() <= 1e-5 * np.abs(ours).max()
