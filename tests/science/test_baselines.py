"""Pixel similarity, random scores and ranking against explicit computation."""

import numpy as np
from scipy.spatial.distance import cosine as scipy_cosine

from waypoint.science.baselines import cosine, random_scores
from waypoint.science.evaluation.ranking import top_and_bottom


def test_cosine_is_scipys():
    rng = np.random.default_rng(0)
    images, references = rng.standard_normal((5, 3, 4, 4)), rng.standard_normal((2, 3, 4, 4))
    found = cosine(images, references)
    for s in range(2):
        for i in range(5):
            assert np.isclose(found[s, i], 1 - scipy_cosine(images[i].ravel(), references[s].ravel()))


def test_cosine_of_an_all_zero_image_is_zero():
    assert cosine(np.zeros((1, 1, 2, 2)), np.ones((1, 1, 2, 2))).item() == 0


def test_the_image_itself_is_most_similar():
    images = np.random.default_rng(1).standard_normal((20, 1, 8, 8))
    assert cosine(images, images[[7]])[0].argmax() == 7


def test_random_scores_are_keyed_by_target_and_step():
    both = random_scores(0, "a", [100, 300], 50)
    assert np.array_equal(both[1], random_scores(0, "a", [300], 50)[0])
    assert not np.array_equal(both[0], both[1])
    assert not np.array_equal(both, random_scores(0, "b", [100, 300], 50))


def test_top_and_bottom_rank_from_both_ends_with_ties_by_index():
    best, worst = top_and_bottom([0.0, 3.0, -1.0, 3.0, 2.0], 2)
    assert best.tolist() == [1, 3] and worst.tolist() == [2, 0]
    assert len(top_and_bottom([1.0, 2.0], 5)[0]) == 2
