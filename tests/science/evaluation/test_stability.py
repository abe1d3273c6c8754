"""The noise floor of lists: noise is not found, planted images are, and the statistic equals that of plain loops."""

from itertools import combinations

import numpy as np
import pytest

from waypoint.science.evaluation.stability import LEVEL, PRIOR, confirmed, extremes, judge, p_values, splits


def noise(parts, steps, n, seed):
    return np.random.default_rng(seed).standard_normal((parts, steps, n))


def judged(parts, k=20, seed=0, **more):
    return judge(parts.mean(0), parts, k, np.random.default_rng(seed), **more)


# ---- calibration


@pytest.mark.parametrize("parts", [2, 3, 4])
@pytest.mark.parametrize("n, repeats, steps", [(30, 40, 5), (500, 40, 5), (50_000, 1, 4)])
def test_of_noise_hardly_anything_is_found(parts, n, repeats, steps):
    """Two parts are two checkpoints, or both halves of one checkpoint's draws."""
    share, lists = 0.0, 0.0
    for seed in range(repeats):
        is_found = judged(noise(parts, steps, n, seed), min(20, n // 2), permutations=199 if n < 1000 else 79).found
        share, lists = share + is_found.mean() / repeats, lists + is_found.any((0, 2)).mean() / repeats
    assert share <= 0.05
    assert lists <= 0.1 or repeats == 1  # 0.05 of the lists have anything at all; twice that is five errors away


@pytest.mark.parametrize("n", [30, 500])
def test_half_scores_that_share_their_noise_with_the_score_are_calibrated(n):
    """One model: the score is of all draws, φ·g, and its halves are φ_1·g_1 and φ_2·g_2."""
    shares = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        phi, g = rng.standard_normal((2, n, 16)), rng.standard_normal((2, 5, 16))
        halves = np.einsum("hnd,hsd->hsn", phi, g)
        is_found = judge(np.einsum("nd,sd->sn", phi.mean(0), g.mean(0)), halves, min(20, n // 2), rng).found
        shares.append(is_found.mean())
    assert np.mean(shares) <= 0.05


def test_heavy_tails_and_several_scales_of_noise_stay_below_one_in_twenty():
    shares = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        scale = np.exp(0.7 * rng.standard_normal(400))
        shares.append(judged(rng.standard_t(5, (2, 5, 400)) * scale).found.mean())
    assert np.mean(shares) <= 0.05


def test_skewed_scores_are_judged_on_either_side():
    shares = [judged(np.random.default_rng(seed).exponential(size=(2, 4, 300))).found.mean() for seed in range(30)]
    assert np.mean(shares) <= 0.05


# ---- power


@pytest.mark.parametrize("parts, strength", [(2, 7), (3, 6), (4, 5)])
def test_planted_images_are_found_on_their_side(parts, strength):
    hits = []
    for seed in range(10):
        x = noise(parts, 4, 500, seed)
        x[:, :, 3] += strength
        x[:, :, 8] -= strength
        verdicts = judged(x)
        assert (verdicts.images[0, :, 0] == 3).all() and (verdicts.images[1, :, 0] == 8).all()
        hits += [verdicts.found[:, :, 0].mean()]
        assert verdicts.found[:, :, 1:].mean() <= 0.05
    assert np.mean(hits) > 0.8


def test_an_image_that_one_part_alone_puts_on_top_is_not_found():
    x = noise(2, 3, 500, 0)
    x[0, :, 7] += 30
    verdicts = judged(x)
    assert (verdicts.images[0, :, 0] == 7).all() and not verdicts.found[0, :, 0].any()
    assert (verdicts.rank_low[0, :, 0] == 1).all() and (verdicts.rank_high[0, :, 0] > 20).all()


# ---- against plain loops


def test_the_statistic_is_the_mean_over_splits_of_the_smaller_standing():
    x, k = noise(4, 3, 20, 1), 5
    ways = splits(4, None)
    assert sorted(map(sorted, ways)) == sorted(
        [list(a), [m for m in range(4) if m not in a]] for a in combinations(range(4), 2) if 0 in a
    )
    statistics = confirmed(x, extremes(x.mean(0), k), ways)
    for s in range(3):
        top = np.argsort(-x.mean(0)[s])[:k]
        for i in top:
            values = []
            for a, b in ways:
                halves = [np.mean([x[m, s] for m in half], 0) for half in (a, b)]
                values.append(min((h[i] - h.mean()) / h.std() for h in halves))
            relative = np.mean([x[:, t, i].var() / np.mean([x[:, t, j].var() for j in range(20)]) for t in range(3)])
            noise_scale = np.sqrt((PRIOR + 3 * 3 * relative) / (PRIOR + 3 * 3))
            place = extremes(x.mean(0), k)[0, s].tolist().index(i)
            assert np.isclose(statistics[0, s, place], np.mean(values) / noise_scale)


def test_p_counts_the_statistics_of_permuted_lists_and_q_is_over_the_list():
    observed, chance = noise(2, 3, 5, 2), noise(2, 3, 200, 3)
    p = p_values(observed, chance)
    for place in np.ndindex(observed.shape):
        assert np.isclose(p[place], (1 + (chance[place[:2]] >= observed[place]).sum()) / 201)
    verdicts = judged(noise(3, 2, 60, 2), 5, permutations=39)
    assert np.array_equal(verdicts.found, verdicts.q <= LEVEL / 2) and verdicts.q.min() >= 1 / (1 + 39 * 5)


def test_ranks_are_those_of_the_halves():
    x = noise(2, 1, 40, 3)
    verdicts = judged(x, 4, permutations=1)
    for i, low, high in zip(verdicts.images[0, 0], verdicts.rank_low[0, 0], verdicts.rank_high[0, 0]):
        ranks = [1 + (part[0] > part[0, i]).sum() for part in x]
        assert (low, high) == (min(ranks), max(ranks))
    i = verdicts.images[1, 0, 0]
    assert verdicts.rank_high[1, 0, 0] == max(1 + (part[0] < part[0, i]).sum() for part in x)


def test_odd_and_many_parts_are_split_evenly():
    assert [(len(a), len(b)) for a, b in splits(3, None)] == [(1, 2)] * 3
    many = splits(31, np.random.default_rng(0))
    assert len(many) == 10 and all(sorted(a + b) == list(range(31)) and len(a) == 15 for a, b in many)


def test_without_parts_nothing_is_found_and_nothing_is_said():
    score = noise(1, 2, 30, 4)[0]
    for parts in (None, score[None]):
        verdicts = judge(score, parts, 5, np.random.default_rng(0))
        assert np.isnan(verdicts.q).all() and not verdicts.found.any() and not verdicts.rank_low.any()
        assert (verdicts.images[0, :, 0] == score.argmax(1)).all()


def test_constant_scores_are_never_found():
    verdicts = judged(np.ones((2, 2, 30)), 5)
    assert not verdicts.found.any()
