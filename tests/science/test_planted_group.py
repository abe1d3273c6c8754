"""A known answer for groups: a few images of an odd kind, planted among digits, guide the process of one of their kind.

Three tiny models are trained on digits and a handful of checkerboards. The target is a checkerboard that no model saw.
Its scores by Algorithm 1 go through sums, both nulls and errors, as a table of groups has them.
"""

import numpy as np
import pytest
import torch
from support import UNET, trained

from waypoint.science import algorithm1
from waypoint.science.evaluation import groups as science
from waypoint.science.evaluation.neighbours import nearest, pooled
from waypoint.science.random_streams import torch_stream
from waypoint.store.data.digits import digits

DIGITS, PLANTED = 54, 6
N = DIGITS + PLANTED
STEPS = [60, 100, 200]
NAMES = ["full/0", "full/1", "full/2"]
MODEL = {
    "unet": {**UNET, "block_out_channels": [16, 32], "norm_num_groups": 8},
    "scheduler": {"beta_schedule": "squaredcos_cap_v2"},
}
RECIPE = {
    "epochs": 60,
    "batch_size": 20,
    "learning_rate": 4e-3,
    "weight_decay": 0.0,
    "ema": 0.99,
    "gradient_clip": None,
    "flip": False,
}
GROUPS = {
    "planted": np.arange(DIGITS, N),
    "every ninth": np.arange(0, DIGITS, 9),
    "the first": np.arange(PLANTED),
    "some": np.array([3, 7, 20, 31, 44, 50]),
}


def checkerboards(n, seed):
    """Images (n, 1, 8, 8) of fields of two pixels, with slightly different greys."""
    fields = torch.tensor([[(x // 2 + y // 2) % 2 for x in range(8)] for y in range(8)]) * 2.0 - 1
    noise = torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return (0.8 * fields + 0.1 * noise).clamp(-1, 1)


@pytest.fixture(scope="module")
def z():
    return torch.cat([torch.from_numpy(digits({}).images[:DIGITS]), checkerboards(PLANTED, 0)])


@pytest.fixture(scope="module")
def parts(z):
    """Scores by each model alone, (model, step, image)."""
    x_0, noise = checkerboards(1, 1)[0], torch.randn(1, 8, 8, generator=torch_stream(0, "noise"))
    found = []
    for name in NAMES:
        theta = trained(MODEL, RECIPE, z, name)
        level = {t: float(theta.scheduler.alphas_cumprod[t]) for t in STEPS}
        x = {t: level[t] ** 0.5 * x_0 + (1 - level[t]) ** 0.5 * noise for t in STEPS}
        found.append(algorithm1.attribute({name: theta}, z, x, K=100, k=60, d=1024, damping=1.0))
    return np.stack(found)


def standing(score, z, groups):
    """{null: (z, q)} of the groups by their scores (step, image); z and q are (step, group)."""
    longest, vectors, rng = max(map(len, groups)), pooled(z.numpy()), np.random.default_rng(0)
    orders = {
        "random": science.random_orders(rng, N, longest),
        "neighbourhoods": science.neighbour_orders(rng, N, lambda chosen: nearest(vectors, chosen, longest)),
    }
    make = {"random": science.random_null, "neighbourhoods": science.neighbourhood_null}
    sums, found = science.group_sums(score, groups), {}
    for kind, order in orders.items():
        deviation, p, *_ = science.standing(sums, make[kind](score, groups, order))
        found[kind] = deviation, science.q_values(p)
    return found


def test_a_planted_group_is_found_and_ordinary_ones_are_not(parts, z):
    """z of the planted group is about 6 and 10, that of the others at most 1.4."""
    for kind, (deviation, q) in standing(parts.mean(0), z, list(GROUPS.values())).items():
        assert (deviation[:, 0] > 4).all() and (q[:, 0] < 1e-3).all(), kind
        assert (np.abs(deviation[:, 1:]) < 3).all() and (q[:, 1:] > science.LEVEL).all(), kind


def test_every_model_alone_says_that_the_group_pushes_towards_its_kind(parts, z):
    for part in parts:
        for deviation, _ in standing(part, z, list(GROUPS.values())).values():
            assert (deviation[:, 0] > deviation[:, 1:].max(1) + 1).all()


def test_the_same_scores_given_to_other_images_find_nothing(parts, z):
    """What is found is the group's place among the images, and not the form of the scores."""
    order = np.random.default_rng(5).permutation(N)
    for deviation, q in standing(parts.mean(0)[:, order], z, list(GROUPS.values())).values():
        assert (np.abs(deviation[:, 0]) < 3).all() and (q[:, 0] > science.LEVEL).all()
