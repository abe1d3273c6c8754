"""Attribution of regions (§5.4): a mask decides which training images rank first, and masks add up.

Among digits there are two composites: the one has checkers for its left half, the other stripes for its right half. The
image that is attributed is checkers on the left and stripes on the right.
"""

import numpy as np
import pytest
import torch
from support import UNET, images, target_example, tiny_denoiser, train_example

from waypoint.science import algorithm1
from waypoint.science.draws import target_draws, target_noise, train_draws
from waypoint.science.gradients import examples
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.projection import Gaussian
from waypoint.science.regions import box_mask, cell_shares
from waypoint.science.training import DenoiserTrainer
from waypoint.store.data.digits import digits
from waypoint.store.networks import checkpoints

# ---- masks add up


@pytest.fixture
def scored(tiny_model):
    """g (1, d) of f_t under weights (H, W) or None, and the scores (1, N) that follow, on an untrained model."""
    theta, x0, N, d = tiny_denoiser(tiny_model), images(1)[0], 6, 24
    P, grad = Gaussian(0, "full/0", d), PerExampleGradients(theta.unet)
    phi = algorithm1.train_features(theta, P, [train_example(z, i) for i, z in enumerate(images(N, 1))], grad).numpy()

    def score(weight):
        weight = None if weight is None else torch.from_numpy(weight)
        g = algorithm1.target_gradients(theta, P, [target_example(x0, 300, weight=weight)], grad).numpy()
        return g, algorithm1.attribution(phi, g, 0.1)

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

N, DIM, TRAIN_DRAWS, TARGET_DRAWS = 12, 256, 100, 40
SOURCES = {"left": 0, "right": 1}  # rows of the two composites
BOXES = {"left": [0, 0, 4, 8], "right": [4, 0, 8, 8], "whole": None}
NAMES, STEPS, NOISES = ["full/0", "full/1"], [100, 200, 300], [0, 1, 2]
MODEL = {
    "unet": {**UNET, "block_out_channels": [16, 32], "norm_num_groups": 8},
    "scheduler": {"beta_schedule": "squaredcos_cap_v2"},
}
RECIPE = {
    "epochs": 80,  # after 350, when the images are known by heart, the sources no longer lead at every step
    "batch_size": N,
    "learning_rate": 4e-3,
    "weight_decay": 0.0,
    "ema": 0.99,
    "gradient_clip": None,
    "flip": False,
}


def composites():
    """The training images (N, 1, 8, 8), and the one that is attributed (1, 8, 8)."""
    y, x = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    checkers, stripes = (x // 2 + y // 2) % 2 * 2.0 - 1, y // 2 % 2 * 2.0 - 1
    z = torch.from_numpy(digits({}).images[:N]).clone()
    z[SOURCES["left"], :, :, :4] = checkers[:, :4]
    z[SOURCES["right"], :, :, 4:] = stripes[:, 4:]
    return z, torch.cat([checkers[:, :4], stripes[:, 4:]], 1)[None]


@pytest.fixture(scope="module")
def scores():
    """{(noise, region): scores (step, image)}, Algorithm 1 with two trained checkpoints."""
    z, image = composites()
    taus = {}
    for name in NAMES:
        theta = checkpoints.build(MODEL, 0, name)
        trainer = DenoiserTrainer(theta, z, None, RECIPE, 0, name)
        while not trainer.finished:
            trainer.run_epoch()
        trainer.final_weights().eval()
        P, grad = Gaussian(0, name, DIM), PerExampleGradients(theta.unet)
        draws = [train_draws(0, name, i, "stratified", TRAIN_DRAWS, theta.T, image.shape) for i in range(N)]
        rows = [examples.train_example(z[i], *draws[i]) for i in range(N)]
        phi = algorithm1.train_features(theta, P, rows, grad).numpy()
        for noise in NOISES:
            for region, box in BOXES.items():
                weight = None if box is None else torch.from_numpy(box_mask(box, 8, 8))
                targets = [target(theta, image, noise, t, weight) for t in STEPS]
                g = algorithm1.target_gradients(theta, P, targets, grad).numpy()
                taus.setdefault((noise, region), []).append(algorithm1.attribution(phi, g, 0.1))
    return {key: np.mean(tau, 0) for key, tau in taus.items()}


def target(theta, image, noise, t, weight):
    """f_t's terms where x_t is the image with noise."""
    key = f"noise {noise}"
    x_t = theta.add_noise(image[None], target_noise(0, key, "full/0", t, -1, image.shape)[None], torch.tensor([t]))[0]
    x0_hat = algorithm1.one_step_estimate(theta, x_t, t, None, "scheduler")
    epsilon = target_draws(0, key, "full/0", t, TARGET_DRAWS, image.shape)
    return examples.target_example(x0_hat, t, epsilon, weight=weight)


@pytest.mark.parametrize("region", SOURCES)
def test_each_mask_ranks_the_source_of_its_half_first(scores, region):
    for noise in NOISES:
        first = scores[noise, region].argmax(1)
        assert (first == SOURCES[region]).all(), f"noise {noise}: first are {dict(zip(STEPS, first))}"


def test_both_sources_lead_without_a_mask(scores):
    for noise in NOISES:
        for row in scores[noise, "whole"]:
            assert set(np.argsort(-row)[:2]) == set(SOURCES.values())
