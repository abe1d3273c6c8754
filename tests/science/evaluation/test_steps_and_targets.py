"""Steps and targets compared, against scipy, brute force and simulation; what must not matter does not."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import spearmanr

from waypoint.science.evaluation.ranking import constant_steps
from waypoint.science.evaluation.sign_overlap import flips_sign, random_sign_overlap, ranks, strongest_flip
from waypoint.science.evaluation.step_correlation import step_correlation
from waypoint.science.evaluation.top_overlap import top_overlap


def scores(steps, n, seed=0):
    """Scores with ties, positive and negative."""
    return np.random.default_rng(seed).integers(-9, 9, (steps, n)).astype(np.float32)


def lists(score, k):
    """Top and bottom k of every step as lists of images, ties by index."""
    n = len(score[0])
    top = [sorted(range(n), key=lambda i: (-row[i], i))[:k] for row in score]
    return top, [sorted(range(n), key=lambda i: (row[i], i))[:k] for row in score]


def flipped(score, k):
    top, bottom = lists(score, k)
    return {i for s, t in permutations(range(len(score)), 2) for i in top[s] if i in bottom[t]}


# ---- step correlation


def test_step_correlation_is_scipys():
    score = scores(4, 30)
    found = step_correlation(score)
    for a in range(4):
        for b in range(4):
            assert np.isclose(found[a, b], spearmanr(score[a], score[b])[0])


def test_equal_scores_correlate_with_nothing():
    score = scores(3, 30)
    score[1] = 0.1
    found = step_correlation(score)
    assert np.isnan(found[1]).all() and np.isnan(found[:, 1]).all()
    assert np.isclose(found[0, 2], spearmanr(score[0], score[2])[0])
    assert constant_steps(score).tolist() == [False, True, False]


def test_step_correlation_ignores_scale_offset_and_the_order_of_images():
    score, order = scores(3, 40), np.random.default_rng(1).permutation(40)
    moved = score * np.array([[1], [1e-6], [5]]) + np.array([[0], [3], [-7]])
    assert np.allclose(step_correlation(moved[:, order]), step_correlation(score))
    assert np.allclose(step_correlation(score * [[1], [-1], [1]])[0], step_correlation(score)[0] * [1, -1, 1])


# ---- sign overlap


def test_ranks_count_from_both_ends():
    from_top, from_bottom = ranks(np.array([[0.5, 3, -1, 3]]))
    assert from_top.tolist() == [[3, 1, 4, 2]] and from_bottom.tolist() == [[2, 3, 1, 4]]


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_images_that_change_sides_are_those_of_brute_force(k):
    changed = 0
    for seed in range(30):
        score = scores(3, 20, seed)
        found = set(np.flatnonzero(flips_sign(*ranks(score), k)).tolist())
        assert found == flipped(score, k)
        changed += len(found)
    assert changed


def test_both_lists_of_one_step_are_no_change_of_sides():
    """Many equal scores: the first images are in both lists of a step, which is no other step."""
    score = np.zeros((2, 6))
    score[0, :3], score[1, 3:] = [3, 2, 1], [1, 2, 3]
    assert flips_sign(*ranks(score), 5).all()
    assert not flips_sign(*ranks(score[:1]), 5).any()


def test_order_of_steps_and_sign_do_not_matter():
    score = np.random.default_rng(3).standard_normal((4, 60))
    found = flips_sign(*ranks(score), 5)
    assert found.any() and not found.all()
    assert np.array_equal(flips_sign(*ranks(score[::-1]), 5), found)
    assert np.array_equal(flips_sign(*ranks(-score), 5), found)


@pytest.mark.parametrize("steps, k", [(2, 12), (4, 5), (6, 8)])
def test_random_curve_is_what_random_scores_give(steps, k):
    n, trials, rng = 1000, 1500, np.random.default_rng(steps)
    hits = 0
    for _ in range(trials):
        tops = [rng.choice(n, 2 * k, replace=False) for _ in range(steps)]  # a step's top and bottom
        top, bottom = np.zeros((2, steps, n), bool)
        for s, chosen in enumerate(tops):
            top[s, chosen[:k]] = bottom[s, chosen[k:]] = True
        hits += (top.any(0) & bottom.any(0)).any()
    expected = random_sign_overlap(n, steps, k)
    assert 0.05 < expected < 0.95
    assert abs(hits / trials - expected) < 4 * np.sqrt(expected * (1 - expected) / trials) + 0.01


def test_random_curve_against_random_scores_through_the_same_code():
    rng, steps, n, k, trials = np.random.default_rng(0), 3, 400, 6, 1000
    hits = [flips_sign(*ranks(rng.standard_normal((steps, n))), k).any() for _ in range(trials)]
    assert abs(np.mean(hits) - random_sign_overlap(n, steps, k)) < 0.06


def test_random_curve_as_printed():
    """N = 50,000 and ten steps: the values of the formula for B.4."""
    assert np.allclose(
        random_sign_overlap(50_000, 10, np.array([10, 20, 30, 50])), [0.165, 0.513, 0.802, 0.989], atol=5e-4
    )
    assert random_sign_overlap(100, 1, 5) == 0


def test_a_flip_is_between_two_steps_also_where_equal_scores_put_an_image_in_both_lists_of_one():
    """Image 0 is second from the top and first from the bottom at one step, second from the bottom at the other."""
    score = np.array([[0, 0, 0, 0, 0, 1], [-1, 0.5, 9, 0.6, -3, 0.7]])
    assert strongest_flip(*ranks(score), 3) == (0, 2 + 2)


@pytest.mark.parametrize("k", [2, 5])
def test_strongest_flip_is_that_of_brute_force(k):
    none = 0
    for seed in range(40):
        score = np.random.default_rng(seed).standard_normal((3, 25))
        top, bottom = lists(score, k)
        sums = [
            (top[s].index(i) + bottom[t].index(i) + 2, i)
            for s, t in permutations(range(3), 2)
            for i in top[s]
            if i in bottom[t]
        ]
        none += not sums
        expected = (min(sums)[1], min(sums)[0]) if sums else None
        assert strongest_flip(*ranks(score), k) == expected
    assert none < 40


def test_a_planted_flip_is_found():
    score = np.random.default_rng(5).standard_normal((5, 300))
    score[:, 17] = [50, 0, 0, 0, -50]
    assert strongest_flip(*ranks(score), 10) == (17, 2)
    assert strongest_flip(*ranks(np.tile(score[0], (5, 1))), 10) is None


# ---- top overlap


def test_overlap_is_the_mean_over_pairs_of_targets():
    rng = np.random.default_rng(0)
    tops = np.stack([rng.choice(12, 4, replace=False) for _ in range(5)])
    overlap, image, frequency = top_overlap(tops, 12)
    shares = [len(set(a) & set(b)) / 4 for i, a in enumerate(tops.tolist()) for b in tops.tolist()[:i]]
    assert np.isclose(overlap, np.mean(shares))
    counts = [sum(i in row for row in tops.tolist()) for i in range(12)]
    assert counts[image] == max(counts) and np.isclose(frequency, max(counts) / 5)


def test_random_lists_overlap_by_k_over_n():
    rng = np.random.default_rng(1)
    overlap, _, _ = top_overlap(np.stack([rng.choice(100, 10, replace=False) for _ in range(200)]), 100)
    assert abs(overlap - 0.1) < 0.005


def test_an_image_that_dominates_every_target_shows():
    rng = np.random.default_rng(2)
    score = rng.standard_normal((30, 200))
    score[:, 123] += 50
    tops = np.argsort(-score, axis=1)[:, :5]
    _, image, frequency = top_overlap(tops, 200)
    assert image == 123 and frequency == 1
    clean = np.argsort(-rng.standard_normal((30, 200)), axis=1)[:, :5]
    assert top_overlap(clean, 200)[2] < 0.3


def test_equal_lists_overlap_entirely_and_disjoint_ones_not_at_all():
    assert top_overlap(np.tile(np.arange(7, 10), (3, 1)), 20) == (1.0, 7, 1.0)
    assert top_overlap(np.arange(9).reshape(3, 3), 9)[0] == 0
