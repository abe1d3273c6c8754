"""Patch attribution (§5.4): a mask decides which training images rank first, and masks add up.

Every training image is a composite, a left and a right half of different patterns. The image that is attributed has
the left half of one of them and the right half of another.
"""

import numpy as np
import pytest
import torch
from support import UNET, images, target_example, tiny_denoiser, train_example

from waypoint.science import algorithm1
from waypoint.science.draws import target_noise, train_draws
from waypoint.science.gradients import Engine, Example
from waypoint.science.kernel import CheckpointMean, factor, gathered, gram
from waypoint.science.masks import box_mask, cell_shares
from waypoint.science.projection import Gaussian
from waypoint.science.training import Trainer
from waypoint.store import models

# ---- masks add up


@pytest.fixture
def scored(tiny_model):
    """g (1, d) of f_t under weights (H, W) or None, and the scores (1, N) that follow, on an untrained model."""
    theta, x0, N, d = tiny_denoiser(tiny_model), images(1)[0], 6, 24
    P, grad = Gaussian(0, "full/0", d), Engine(theta.unet)
    phi = algorithm1.train_features(theta, P, [train_example(z, i) for i, z in enumerate(images(N, 1))], grad).numpy()
    blocks = lambda: iter([(0, phi)])  # noqa: E731
    lower, _ = factor(gram(blocks, N, d), N, d, 0.1)

    def score(weight):
        weight = None if weight is None else torch.from_numpy(weight)
        g = algorithm1.target_gradients(theta, P, [target_example(x0, 300, weight=weight)], grad).numpy()
        return g, gathered(algorithm1.attribution(blocks, N, d, lower, g))

    return score


def close(a, b, limit=1e-5):
    return np.abs(a - b).max() <= limit * np.abs(b).max()


@pytest.mark.parametrize("pixels", [8, 32], ids=["pixels", "latents of 4 × 4 pixels"])
def test_a_full_mask_is_no_mask(scored, pixels):
    weight = cell_shares(box_mask([0, 0, pixels, pixels], pixels, pixels), 8, 8)
    for masked, whole in zip(scored(weight), scored(None)):
        assert close(masked, whole)


@pytest.mark.parametrize(
    "pixels, edge, row",
    [(8, 3, 5), (32, 12, 20), (32, 13, 22)],
    ids=["pixels", "whole cells of a latent", "cells of a latent that masks share"],
)
def test_disjoint_masks_add_up_in_the_sum_that_is_not_divided_by_their_areas(scored, pixels, edge, row):
    boxes = [[0, 0, edge, pixels], [edge, 0, pixels, row], [edge, row, pixels, pixels]]
    masks = [box_mask(box, pixels, pixels) for box in boxes]
    weights, whole = [cell_shares(mask, 8, 8) for mask in masks], scored(None)
    parts = [scored(weight) for weight in weights]
    for k in (0, 1):  # g, scores
        total = sum(mask.sum() * part[k] for mask, part in zip(masks, parts))
        assert close(total / pixels**2, whole[k])
        assert not close(parts[0][k], whole[k], 1e-2) and not close(parts[1][k], parts[2][k], 1e-2)


# ---- left and right sources

N, DIM, TRAIN_DRAWS, TARGET_DRAWS = 10, 256, 120, 40
MODEL = {
    "unet": {**UNET, "block_out_channels": [16, 32], "norm_num_groups": 8},
    "scheduler": {"beta_schedule": "squaredcos_cap_v2"},
}
RECIPE = {
    "epochs": 350,
    "batch_size": 10,
    "learning_rate": 4e-3,
    "weight_decay": 0.0,
    "ema": 0.99,
    "gradient_clip": None,
    "flip": False,
}
NAMES, STEPS = ["full/0", "full/1"], [100, 200, 300]
PAIRS = [(0, 1), (2, 3), (7, 4)]  # sources of the left and of the right half
BOXES = {"left": [0, 0, 4, 8], "right": [4, 0, 8, 8]}


@pytest.fixture(scope="module")
def composites():
    """N images (1, 8, 8) of black and white squares of 2 × 2 pixels, all halves different."""
    rng = np.random.default_rng(0)
    halves = rng.choice(256, (2 * N,), replace=False)
    squares = (halves[:, None] >> np.arange(8) & 1).reshape(2, N, 4, 2) * 2.0 - 1
    return torch.from_numpy(np.concatenate(squares.repeat(2, 2).repeat(2, 3), 2).astype(np.float32))[:, None]


@pytest.fixture(scope="module")
def scores(composites):
    """{(pair, mask's name): scores (step, image)}, Algorithm 1 with two trained checkpoints."""
    means = {}
    for name in NAMES:
        theta = models.build(MODEL, 0, name)
        trainer = Trainer(theta, composites, None, RECIPE, 0, name)
        while not trainer.finished:
            trainer.run_epoch()
        trainer.final_weights().eval()
        P, grad = Gaussian(0, name, DIM), Engine(theta.unet)
        examples = []
        for i, z in enumerate(composites):
            t, epsilon = train_draws(0, name, i, "stratified", TRAIN_DRAWS, theta.T, z.shape)
            examples.append(Example(z.expand(epsilon.shape), t, epsilon))
        phi = algorithm1.train_features(theta, P, examples, grad).numpy()
        blocks = lambda phi=phi: iter([(0, phi)])  # noqa: E731
        lower, _ = factor(gram(blocks, N, DIM), N, DIM, 0.1)
        for pair in PAIRS:
            for mask, box in [*BOXES.items(), ("whole", None)]:
                weight = None if box is None else torch.from_numpy(box_mask(box, 8, 8))
                targets = [target(theta, composites, pair, t, weight) for t in STEPS]
                g = algorithm1.target_gradients(theta, P, targets, grad).numpy()
                tau = gathered(algorithm1.attribution(blocks, N, DIM, lower, g))
                means.setdefault((pair, mask), CheckpointMean()).add(tau)
    return {key: mean.mean for key, mean in means.items()}


def target(theta, composites, pair, t, weight):
    """f_t's terms for the composite of a pair's halves, x_t being the composite with noise."""
    left, right = pair
    image = torch.cat([composites[left, :, :, :4], composites[right, :, :, 4:]], 2)
    x_t = theta.add_noise(image[None], target_noise(0, f"{pair}", t, -1, image.shape)[None], torch.tensor([t]))[0]
    x0_hat = algorithm1.one_step_estimate(theta, x_t, t, None, "scheduler")
    epsilon = torch.stack([target_noise(0, f"{pair}", t, k, image.shape) for k in range(TARGET_DRAWS)])
    return Example(x0_hat.expand(epsilon.shape), torch.full((TARGET_DRAWS,), t), epsilon, weight=weight)


@pytest.mark.parametrize("pair", PAIRS)
def test_each_mask_ranks_the_source_of_its_half_first(scores, pair):
    for mask, source in zip(BOXES, pair):
        assert (scores[pair, mask].argmax(1) == source).all(), (mask, scores[pair, mask].argmax(1))


@pytest.mark.parametrize("pair", PAIRS)
def test_both_sources_lead_without_a_mask(scores, pair):
    for row in scores[pair, "whole"]:
        assert set(np.argsort(-row)[:2]) == set(pair)
