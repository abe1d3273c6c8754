"""Scores of groups of training images, compared with meaningless groups of the same size.

A group's score is the sum of its images' scores. Two null distributions give the sums expected by chance:

*random*: n of the N images, drawn without replacement. If a step's scores have mean μ and variance σ² (divided by N),
the sum has exactly (Cochran, Sampling Techniques, 1977, §2.5-2.6)

    mean nμ,   variance nσ² (N − n)/(N − 1).

*neighbourhoods*: a random image and the n − 1 images nearest to it. Images of the same origin resemble each other, and
so do the errors of their scores, which therefore do not average out as those of random images do. A group is compared
only with neighbourhoods of images outside it: a class is itself a neighbourhood and could not stand out from itself.

Both are drawn B times. The cumulative sum along one order of the images, a permutation or from near to far, gives the
sums for all sizes. Two-sided, about the mean of the null,

    p = (1 + number of draws at least as far from the mean)/(1 + B)

(Phipson & Smyth, Statistical Applications in Genetics and Molecular Biology 9, 2010). If fewer than ten draws are that
far out, this is coarse, and p is the tail of a normal distribution with the null's mean and standard deviation: exact
for random groups, those of the draws for neighbourhoods. q is Benjamini and Hochberg's (JRSS B 57, 1995) over all
groups and steps of a target and method, for each null.

The error of a sum comes from its values in the parts, which are checkpoints or halves of one checkpoint's draws: the
standard error of their mean, with P − 1 degrees of freedom. It is valid whatever the images have in common.

Shapes: G groups, S steps, N training images, B draws, P parts, U different sizes of groups.
"""

# SciPy is untyped
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtrit
from scipy.stats import false_discovery_control

from waypoint.science.types import Booleans, Doubles, Integers, Numbers

DRAWS = 1000
FEW = 10  # exceeding draws; with fewer, p is a normal tail
LEVEL = 0.05  # of q, and 1 − the confidence of error intervals
BLOCK_BYTES = 1 << 26  # of scores held at once
ROUNDING = 1e-9  # relative to the largest sum


@dataclass(frozen=True)
class Null:
    """Sums of meaningless groups of the same sizes as the groups.

    Attributes:
        mean, sd: (S, G). draws: (S, B, U), sums of each size. size_index: (G,), each group's index among the sizes.
        compared: bool (G, B), the draws that a group is compared with.
    """

    mean: Doubles
    sd: Doubles
    draws: Doubles
    size_index: Integers
    compared: Booleans


def group_sums(score: Numbers, groups: Sequence[Integers]) -> Doubles:
    """Sum the scores of each group: (..., N) and G index arrays give (..., G), in float64."""
    starts = np.cumsum([0, *map(len, groups[:-1])])
    return np.add.reduceat(score[..., np.concatenate(groups)].astype(np.float64), starts, axis=-1)


def random_orders(rng: np.random.Generator, n: int, longest: int, draws: int = DRAWS) -> Integers:
    """Return the first ``longest`` entries of B random permutations of N images: int32 (B, longest)."""
    return np.stack([rng.permutation(n)[:longest].astype(np.int32) for _ in range(draws)])


def neighbour_orders(
    rng: np.random.Generator, n: int, nearest: Callable[[Integers], Integers], draws: int = DRAWS
) -> Integers:
    """Return B neighbourhoods, the images from near to far of a random image each: int32 (B, longest).

    All images are drawn equally often, to within one.

    Args:
        nearest: maps image indices (b,) to the neighbours of each, itself first: (b, longest).
    """
    rounds = [rng.permutation(n) for _ in range(-(-draws // n))]
    unique, inverse = np.unique(np.concatenate(rounds)[:draws], return_inverse=True)
    return nearest(unique).astype(np.int32)[inverse]


def null_sums(score: Numbers, orders: Integers, sizes: Integers) -> Doubles:
    """Sum the scores of the first images of every order: (S, N) and (B, longest) give (S, B, U).

    Args:
        sizes: (U,), ascending, at most ``longest``.
    """
    steps, longest = len(score), sizes[-1]
    sums = np.empty((steps, len(orders), len(sizes)))
    block_size = max(1, BLOCK_BYTES // (8 * steps * longest))
    for start in range(0, len(orders), block_size):
        block = slice(start, start + block_size)
        ordered = score[:, orders[block, :longest]].astype(np.float64)
        sums[:, block] = np.cumsum(ordered, axis=2, out=ordered)[..., sizes - 1]
    return sums


def random_moments(score: Numbers, sizes: Integers) -> tuple[Doubles, Doubles]:
    """Return exact mean and sd of the sums of images drawn without replacement, for each size: two arrays (S, U)."""
    score, n = score.astype(np.float64), score.shape[1]
    mean, variance = score.mean(1, keepdims=True), score.var(1, keepdims=True)
    return sizes * mean, np.sqrt(sizes * variance * (n - sizes) / (n - 1))


def random_null(score: Numbers, groups: Sequence[Integers], orders: Integers) -> Null:
    """Return the null *random* for the scores (S, N) of a target and method, with its orders (B, longest)."""
    sizes, size_index = np.unique([len(group) for group in groups], return_inverse=True)
    mean, sd = random_moments(score, sizes)
    compared = np.ones((len(groups), len(orders)), bool)
    return Null(mean[:, size_index], sd[:, size_index], null_sums(score, orders, sizes), size_index, compared)


def neighbourhood_null(score: Numbers, groups: Sequence[Integers], orders: Integers) -> Null:
    """Return the null *neighbourhoods* likewise, with the moments of the draws that a group is compared with."""
    sizes, size_index = np.unique([len(group) for group in groups], return_inverse=True)
    draws = null_sums(score, orders, sizes)
    compared = np.array([~np.isin(orders[:, 0], group) for group in groups])
    draws_by_group = [draws[:, chosen, size] for chosen, size in zip(compared, size_index)]
    mean, sd = (np.stack([moment(sums) for sums in draws_by_group], axis=1) for moment in (_mean, _sd))
    return Null(mean, sd, draws, size_index, compared)


def _mean(sums: Doubles) -> Doubles:
    return sums.mean(1) if sums.shape[1] else np.zeros(len(sums))


def _sd(sums: Doubles) -> Doubles:
    return sums.std(1, ddof=1) if sums.shape[1] > 1 else np.zeros(len(sums))


def chance_interval(null: Null) -> tuple[Doubles, Doubles]:
    """Return the sums between which 95 of 100 draws of a null lie, for each step and group: two arrays (S, G).

    They are quantiles of the draws, so they hold for skewed nulls too; NaN where a group is compared with no draw.
    """
    low, high = np.full(null.mean.shape, np.nan), np.full(null.mean.shape, np.nan)
    for g, chosen in enumerate(null.compared):
        if chosen.any():
            draws = null.draws[:, chosen, null.size_index[g]]
            low[:, g], high[:, g] = np.quantile(draws, (LEVEL / 2, 1 - LEVEL / 2), axis=1)
    return low, high


def standing(sums: Doubles, null: Null) -> tuple[Doubles, Doubles, Booleans, Doubles]:
    """Compare sums (S, G) with a null: z, p, whether p is a normal tail, and the percentile among draws, all (S, G).

    Where a null does not vary (a step whose scores are all equal), z is 0 and p is 1.
    """
    z, p, percentile = np.zeros(sums.shape), np.ones(sums.shape), np.full(sums.shape, 50.0)
    normal = np.zeros(sums.shape, bool)
    for g, chosen in enumerate(null.compared):
        draws = null.draws[:, chosen, null.size_index[g]] - null.mean[:, [g]]
        deviation, sd, count = sums[:, g] - null.mean[:, g], null.sd[:, g], draws.shape[1]
        # sums of the same images in another order differ only by rounding, which must not affect the comparison
        slack = ROUNDING * np.abs(null.draws[:, :, null.size_index[g]]).max(1)
        varies = sd > slack
        z[varies, g] = deviation[varies] / sd[varies]
        exceeding = (np.abs(draws) >= (np.abs(deviation) - slack)[:, None]).sum(1)
        normal[:, g] = (exceeding < FEW) & varies
        p[:, g] = np.where(normal[:, g], 2 * ndtr(-np.abs(z[:, g])), (1 + exceeding) / (1 + count))
        if count:
            low, high = (deviation + sign * slack for sign in (-1, 1))
            below = (draws < low[:, None]).sum(1) + (draws <= high[:, None]).sum(1)
            percentile[:, g] = 50 * below / count
    return z, p, normal, percentile


def q_values(p: Doubles) -> Doubles:
    """Return Benjamini and Hochberg's q for all p of a target and method: the lowest rate at which each is found.

    Args:
        p: (S, G), or any other shape, within [0, 1].

    Returns:
        q in the shape of p.

    Raises:
        ValueError: a p is NaN or outside [0, 1] (SciPy's).
    """
    return false_discovery_control(np.ravel(p)).reshape(np.shape(p))


def error_of_sums(parts: Doubles | None) -> Doubles | None:
    """Return the standard error of the mean of the parts' sums: (P, S, G) gives (S, G); None for fewer than 2 parts."""
    return None if parts is None or len(parts) < 2 else parts.std(0, ddof=1) / np.sqrt(len(parts))


def errors_to_exclude(parts: int) -> float:
    """Half the width of an error's interval, in errors: Student's of level 95 % with P − 1 degrees of freedom.

    12.7 errors for two parts, 4.3 for three, 2.1 for twenty.
    """
    return float(stdtrit(parts - 1, 1 - LEVEL / 2))


def excluded(sums: Doubles, error: Doubles, parts: int, mean: Doubles) -> Booleans:
    """Tell whether the error interval of each sum excludes the mean of the null: bool (S, G).

    Args:
        error: (S, G). parts: P ≥ 2. mean: (S, G).
    """
    return np.abs(sums - mean) > errors_to_exclude(parts) * error
