"""Groups against brute force and exact moments; calibrated on noise of several kinds; planted groups are found."""

import time
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import norm, t

from waypoint.science.evaluation import groups as science
from waypoint.science.evaluation.groups import LEVEL, error_of_sums, excluded, group_sums, q_values, standing


def rng(seed=0):
    return np.random.default_rng(seed)


def by_distance(features):
    """A function that gives neighbours from near to far, in plain numpy."""
    return lambda chosen: np.stack([np.argsort(((features - features[i]) ** 2).sum(1), kind="stable") for i in chosen])


def both(score, groups, seed=0, features=None, draws=science.DRAWS):
    """{null: (z, p, normal, percentile)}, and the nulls."""
    n, longest = score.shape[1], max(map(len, groups))
    features = rng(99).standard_normal((n, 2)) if features is None else features
    orders = {
        "random": science.random_orders(rng(seed), n, longest, draws),
        "neighbourhoods": science.neighbour_orders(rng(seed), n, by_distance(features), draws),
    }
    make = {"random": science.random_null, "neighbourhoods": science.neighbourhood_null}
    nulls = {kind: make[kind](score, groups, order) for kind, order in orders.items()}
    sums = group_sums(score, groups)
    return {kind: standing(sums, null) for kind, null in nulls.items()}, nulls


# ---- sums, moments, p and q


def test_ninety_five_of_a_hundred_draws_lie_in_the_interval_however_skewed_they_are():
    score = np.exp(2 * rng(7).standard_normal((2, 80)))
    groups = [np.arange(4), np.arange(30, 60), np.arange(80)]
    _, nulls = both(score, groups, features=rng(8).standard_normal((80, 2)))
    for null in nulls.values():
        low, high = science.chance_interval(null)
        for g, chosen in enumerate(null.compared):
            draws = null.draws[:, chosen, null.size_index[g]]
            if not chosen.any():
                assert np.isnan(low[:, g]).all() and np.isnan(high[:, g]).all()
                continue
            for s in range(2):
                ordered = np.sort(draws[s])
                expected = [np.interp(p * (len(ordered) - 1), range(len(ordered)), ordered) for p in (0.025, 0.975)]
                assert np.allclose([low[s, g], high[s, g]], expected)


def test_sums_are_those_of_loops():
    score, groups = rng().standard_normal((2, 3, 9)), [np.array([0, 4]), np.array([8]), np.array([1, 2, 3, 5])]
    expected = [[[part[s, g].sum() for g in groups] for s in range(3)] for part in score]
    assert np.allclose(group_sums(score, groups), expected)


def test_moments_of_random_groups_are_exact():
    """Against all subsets of every size."""
    score, sizes = rng(1).standard_normal((2, 8)), np.arange(1, 8)
    mean, sd = science.random_moments(score, sizes)
    for u, n in enumerate(sizes):
        sums = np.array([score[:, list(chosen)].sum(1) for chosen in combinations(range(8), int(n))])
        assert np.allclose(mean[:, u], sums.mean(0)) and np.allclose(sd[:, u], sums.std(0))


def test_one_cumulative_sum_serves_every_size():
    score, orders, sizes = (
        rng(2).standard_normal((2, 30)),
        science.random_orders(rng(3), 30, 20, 50),
        np.array([1, 4, 20]),
    )
    sums = science.null_sums(score, orders, sizes)
    assert all(len(set(order)) == 20 for order in orders.tolist())
    for b, order in enumerate(orders):
        for u, size in enumerate(sizes):
            assert np.allclose(sums[:, b, u], score[:, order[:size]].sum(1))


def test_sums_do_not_depend_on_how_many_draws_are_taken_at_once(monkeypatch):
    score, orders, sizes = rng(2).standard_normal((2, 30)), science.random_orders(rng(3), 30, 20, 50), np.array([3, 20])
    whole = science.null_sums(score, orders, sizes)
    monkeypatch.setattr(science, "BLOCK_BYTES", 8 * 2 * 20 * 7)
    assert np.array_equal(whole, science.null_sums(score, orders, sizes))


def test_neighbourhoods_begin_with_their_image_and_all_images_come_as_often():
    features = rng(4).standard_normal((30, 3))
    orders = science.neighbour_orders(rng(5), 30, lambda chosen: by_distance(features)(chosen)[:, :6], 1000)
    assert orders.shape == (1000, 6) and set(np.bincount(orders[:, 0])) == {33, 34}
    for order in orders[:20]:
        assert sorted(order) == sorted(np.argsort(((features - features[order[0]]) ** 2).sum(1))[:6])


def test_p_against_brute_force():
    """(1 + #)/(1 + B), two-sided about the null's mean; the exact normal tail where fewer than ten exceed."""
    score = rng(6).standard_normal((2, 60))
    groups = [np.arange(5), np.arange(5, 25), np.argsort(score[0])[-5:]]
    standings, nulls = both(score, groups)
    for kind, null in nulls.items():
        z, p, normal, percentile = standings[kind]
        for s in range(2):
            for g, group in enumerate(groups):
                draws = null.draws[s, null.compared[g], null.size_index[g]]
                total, mean = score[s, group].sum(), null.mean[s, g]
                count = (np.abs(draws - mean) >= abs(total - mean) - 1e-12).sum()
                assert np.isclose(z[s, g], (total - mean) / null.sd[s, g])
                assert normal[s, g] == (count < 10)
                assert np.isclose(p[s, g], 2 * norm.sf(abs(z[s, g])) if count < 10 else (1 + count) / (1 + len(draws)))
                assert abs(percentile[s, g] - 100 * (draws <= total).mean()) <= 1
    assert standings["random"][2][0, 2]  # the highest five of sixty


def test_p_agrees_with_the_enumeration_of_all_groups():
    score = rng(7).standard_normal((1, 12))
    groups, exact = [np.array([0, 3, 7]), np.array([1, 2, 4])], []
    sums = np.array([score[0, list(chosen)].sum() for chosen in combinations(range(12), 3)])
    for group in groups:
        exact.append((np.abs(sums - sums.mean()) >= abs(score[0, group].sum() - sums.mean()) - 1e-12).mean())
    assert np.allclose(both(score, groups, draws=20_000)[0]["random"][1], exact, atol=0.02)


def test_q_is_the_smallest_rate_at_which_the_step_up_rule_finds_a_group():
    """Benjamini and Hochberg: the largest k with p_(k) ≤ rate·k/m; all p up to that one are found."""
    p = rng(8).uniform(size=(4, 9)) ** 3
    q, ordered = q_values(p), np.sort(p.ravel())
    for rate in np.linspace(0.01, 1, 60):
        reached = np.flatnonzero(ordered <= rate * np.arange(1, 37) / 36 + 1e-12)
        expected = p <= ordered[reached[-1]] if len(reached) else np.zeros_like(p, bool)
        assert np.array_equal(q <= rate + 1e-9, expected)


def test_a_step_of_equal_scores_says_nothing():
    z, p, normal, percentile = both(np.full((1, 20), 0.1), [np.arange(4), np.arange(7)])[0]["random"]
    assert not z.any() and (p == 1).all() and not normal.any() and np.allclose(percentile, 50)


def test_the_error_is_of_the_sums_and_its_interval_students():
    parts = rng(9).standard_normal((3, 2, 4)) + 2
    error = error_of_sums(parts)
    assert np.allclose(error, parts.std(0, ddof=1) / np.sqrt(3)) and error_of_sums(parts[:1]) is None
    low, high = t.interval(0.95, 2, parts.mean(0), error)
    assert np.array_equal(excluded(parts.mean(0), error, 3, np.zeros((2, 4))), (low > 0) | (high < 0))


# ---- calibration


def discoveries(parts, groups, features, seed=0, draws=science.DRAWS):
    """Which groups are found, by the rule of the table: bool (S, G)."""
    score = parts.mean(0)
    standings, nulls = both(score, groups, seed, features, draws)
    sums, q = group_sums(score, groups), np.array([q_values(standings[kind][1]) for kind in nulls])
    stricter, mean = q.argmax(0), np.array([nulls[kind].mean for kind in nulls])
    error = error_of_sums(group_sums(parts, groups))
    return (q.max(0) <= LEVEL) & excluded(sums, error, len(parts), np.take_along_axis(mean, stricter[None], 0)[0])


def clustered(seed, n=240, clusters=12, parts=3, steps=3, shared=1.0):
    """Noise (parts, steps, n) that images of a cluster share in part, the images of each cluster, and all features."""
    r = rng(seed)
    of = r.permutation(np.repeat(np.arange(clusters), n // clusters))
    features = 10 * r.standard_normal((clusters, 5))[of] + r.standard_normal((n, 5))
    noise = r.standard_normal((parts, steps, n)) + shared * r.standard_normal((parts, steps, clusters))[:, :, of]
    return noise, [np.flatnonzero(of == c) for c in range(clusters)], features


@pytest.mark.parametrize("parts", [2, 3, 5])
def test_homogeneous_groups_under_noise_are_not_found(parts):
    share = [discoveries(*clustered(seed, parts=parts), seed).mean() for seed in range(15)]
    assert np.mean(share) <= 0.05


def test_random_groups_alone_would_find_noise_that_images_share():
    """This is why there is a second null."""
    wrong = []
    for seed in range(10):
        noise, groups, features = clustered(seed)
        p = both(noise.mean(0), groups, seed, features)[0]["random"][1]
        wrong.append((q_values(p) <= LEVEL).mean())
    assert np.mean(wrong) > 0.3


def test_p_of_random_groups_is_uniform_under_noise():
    p = []
    for seed in range(40):
        score, order = rng(seed).standard_normal((3, 200)), rng(1000 + seed).permutation(200)
        p.append(both(score, np.split(order, [3, 10, 40, 100]), seed, draws=300)[0]["random"][1])
    p = np.ravel(p)
    for level in (0.05, 0.2, 0.5):
        assert abs((p <= level).mean() - level) < 4 * np.sqrt(level * (1 - level) / len(p))


def test_q_controls_the_share_of_wrong_discoveries():
    """Half of the groups are planted; of those that q finds at 10 %, about a tenth at most are wrong."""
    wrong = []
    for seed in range(30):
        r = rng(seed)
        score, groups = r.standard_normal((2, 400)), np.split(r.permutation(400), 20)
        for k, group in enumerate(groups[:10]):
            score[:, group] += 1.5 * (-1) ** k
        discovered = q_values(both(score, groups, seed, draws=1000)[0]["random"][1]) <= 0.1
        wrong.append(discovered[:, 10:].sum() / max(1, discovered.sum()))
        assert discovered[:, :10].mean() > 0.3
    assert np.mean(wrong) <= 0.12


# ---- power


@pytest.mark.parametrize("parts, least", [(2, 0.5), (3, 0.9), (8, 0.99)])
def test_planted_groups_are_found_on_either_side(parts, least):
    """Two numbers tell little about their error: with two parts an interval reaches 12.7 errors to either side."""
    hits = []
    for seed in range(10):
        noise, groups, features = clustered(seed, n=300, clusters=30, parts=parts, shared=0.2)
        noise[:, :, groups[0]] += 3 * (-1) ** seed
        discovered = discoveries(noise, groups, features, seed)
        hits.append(discovered[:, 0].mean())
        assert discovered[:, 1:].mean() <= 0.05
    assert np.mean(hits) >= least


def test_one_of_ten_classes_can_stand_out():
    """A tenth of all neighbourhoods begin with its own images; it is not compared with those."""
    noise, groups, features = clustered(3, n=200, clusters=10, parts=4, shared=0.1)
    noise[:, :, groups[4]] += 2
    discovered = discoveries(noise, groups, features)
    assert discovered[:, 4].all() and not discovered[:, :4].any()


def test_a_group_is_not_compared_with_neighbourhoods_of_its_own_images():
    score, groups = rng(0).standard_normal((1, 40)), [np.arange(10), np.array([39, 3])]
    null = both(score, groups)[1]["neighbourhoods"]
    orders = science.neighbour_orders(rng(0), 40, by_distance(rng(99).standard_normal((40, 2))))
    for g, group in enumerate(groups):
        expected = [not set(order[:1]) & set(group.tolist()) for order in orders.tolist()]
        assert null.compared[g].tolist() == expected
        draws = null.draws[0, null.compared[g], null.size_index[g]]
        assert np.isclose(null.mean[0, g], draws.mean()) and np.isclose(null.sd[0, g], draws.std(ddof=1))


def test_where_no_neighbourhood_is_left_nothing_is_said():
    score, groups = rng(0).standard_normal((2, 12)), [np.arange(12)]
    z, p, normal, percentile = both(score, groups)[0]["neighbourhoods"]
    assert not z.any() and (p == 1).all() and not normal.any() and (percentile == 50).all()


def test_a_thousand_groups_of_fifty_thousand_images_take_seconds():
    score, r = rng(0).standard_normal((9, 50_000)).astype(np.float32), rng(1)
    groups = [r.choice(50_000, size, replace=False) for size in r.integers(2, 500, 1000)]
    orders = science.random_orders(r, 50_000, max(map(len, groups)))
    start, sums = time.process_time(), group_sums(score, groups)
    for make in (science.random_null, science.neighbourhood_null):
        q_values(standing(sums, make(score, groups, orders))[1])
    assert time.process_time() - start < 20
