"""Scores against traker 0.3.2, the TRAK authors' library.

traker divides the inverse Gram matrix of every checkpoint by the mean of its absolute entries, so with one
checkpoint its scores must be ours times one constant.
"""

import numpy as np
import torch
from support import images, target_example, tiny_denoiser, train_example
from trak import TRAKer
from trak.modelout_functions import AbstractModelOutput
from trak.projectors import NoOpProjector

from waypoint.science import algorithm1
from waypoint.science.gradients import Engine, trainable
from waypoint.science.kernel import factor, gathered, gram, one_block

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


def batch(examples):
    return [torch.stack([getattr(e, part) for e in examples]) for part in ("x0", "t", "epsilon")]


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

    grad = Engine(theta.unet)
    phi = grad(lambda e: algorithm1.train_loss(theta, e), train).numpy() / p**0.5
    g = grad(lambda e: algorithm1.output_function(theta, e), target).numpy() / p**0.5
    blocks = lambda: iter([(0, phi)])  # noqa: E731
    matrix = gram(blocks, N, p)
    lower, strength = factor(matrix, N, p, LAMBDA * N / np.trace(matrix))
    assert np.isclose(strength, LAMBDA)
    ours = gathered(algorithm1.attribution(blocks, N, p, one_block(lower), g))

    scale = (ours * theirs).sum() / (theirs**2).sum()
    assert np.abs(ours - scale * theirs).max() <= 1e-5 * np.abs(ours).max()
