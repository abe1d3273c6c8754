"""Verdicts on a given image, from distances and losses with known answers."""

import numpy as np

from waypoint.science.evaluation.given_image import copy_limit, explained_better, relative, verdict


def test_verdicts_by_distance():
    assert [verdict(d, 0.05) for d in (0, 1 / 255, 0.05, 0.051)] == ["same", "same", "near-duplicate", "new"]


def test_the_limit_is_half_of_what_is_usual():
    assert copy_limit(np.array([0.1, 0.2, 0.9])) == 0.1
    assert copy_limit(np.zeros(5)) == 1 / 255 and copy_limit(np.zeros(5), 0.0) == 0


def test_the_share_of_images_that_are_explained_worse():
    losses = np.array([[1.0, 5], [2, 5], [3, 5], [4, 5]])
    assert explained_better(np.array([2.5, 5]), losses).tolist() == [0.5, 0.5]
    assert explained_better(np.array([0, 9]), losses).tolist() == [1, 0]


def test_a_share_is_uniform_for_one_of_the_images_themselves():
    losses = np.random.default_rng(0).normal(size=(1001, 2))
    shares = explained_better(losses[0], losses[1:])
    assert ((shares >= 0) & (shares <= 1)).all()
    every = np.array([explained_better(losses[k], np.delete(losses, k, 0))[0] for k in range(0, 1001, 10)])
    assert abs(every.mean() - 0.5) < 0.1 and abs(np.mean(every < 0.05) - 0.05) < 0.05


def test_steps_count_alike_whatever_the_size_of_their_losses():
    train = np.array([[1.0, 100], [3, 300]])
    assert relative(np.array([2.0, 400]), train) == 1.5
    assert relative(train, train).tolist() == [0.5, 1.5]
