"""Scores of groups of training images, beside groups of the same size that mean nothing.

A group's score is the sum of its images' scores. What the sum would be by chance is told by two nulls:

*random*: n of the N images, drawn without replacement. With the mean μ and the variance σ² (divided by N) of a step's
scores, the sum has exactly (Cochran, Sampling Techniques, 1977, §2.5-2.6)

    mean nμ,   variance nσ² (N − n)/(N − 1).

*neighbourhoods*: an image, drawn at random, and the n − 1 images that are nearest to it. Pictures of one hand resemble
each other, and so do the errors of their scores: these do not average out as those of random images do. A group is
compared with neighbourhoods of images that are not its own: a class is a neighbourhood itself, and none of ten classes
could ever stand out from itself.

Both are drawn B times. Of one order of the images, a permutation or from near to far, the cumulative sum gives the sums
of every size. Two-sided, with a null's mean:

    p = (1 + number of draws at least as far from the mean)/(1 + B)

(Phipson & Smyth, Statistical Applications in Genetics and Molecular Biology 9, 2010). Where fewer than ten draws are,
that is coarse, and p is the tail of a normal distribution with the null's mean and standard deviation: the exact ones
of random groups, those of the draws for neighbourhoods. q is Benjamini and Hochberg's (JRSS B 57, 1995) over all
groups and steps of a target and method, for each null.

The error of a sum comes from the sums of the parts, which are checkpoints, or halves of one checkpoint's draws: the
standard error of their mean, with P − 1 degrees of freedom. It holds whatever the images have in common.

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
FEW = 10  # draws that exceed; fewer leave p to the normal tail
LEVEL = 0.05  # of q, and 1 − the confidence of an error's interval
NULLS = ("random", "neighbourhoods")
BLOCK_BYTES = 1 << 26  # of scores at once
ROUNDING = 1e-9  # of the largest sum


@dataclass(frozen=True)
class Null:
    """Sums of groups that mean nothing, for every group its own size.

    Attributes:
        mean, sd: (S, G). draws: (S, B, U), sums of each size. of: (G,), each group's place among the sizes.
        counted: bool (G, B), the draws that a group is compared with.
    """

    mean: Doubles
    sd: Doubles
    draws: Doubles
    of: Integers
    counted: Booleans


def group_sums(score: Numbers, groups: Sequence[Integers]) -> Doubles:
    """Sums of each group's scores: (..., N) and G index arrays give (..., G), in float64."""
    starts = np.cumsum([0, *map(len, groups[:-1])])
    return np.add.reduceat(score[..., np.concatenate(groups)].astype(np.float64), starts, axis=-1)


def random_orders(rng: np.random.Generator, n: int, longest: int, draws: int = DRAWS) -> Integers:
    """The first ``longest`` places of B random permutations of N images: int32 (B, longest)."""
    return np.stack([rng.permutation(n)[:longest].astype(np.int32) for _ in range(draws)])


def neighbour_orders(
    rng: np.random.Generator, n: int, nearest: Callable[[Integers], Integers], draws: int = DRAWS
) -> Integers:
    """B neighbourhoods, each the images from near to far of one drawn at random: int32 (B, longest).

    Every image is drawn as often as any other, or once more.

    Args:
        nearest: a function of image indices (b,) that returns for each its neighbours, itself first: (b, longest).
    """
    rounds = [rng.permutation(n) for _ in range(-(-draws // n))]
    chosen, place = np.unique(np.concatenate(rounds)[:draws], return_inverse=True)
    return nearest(chosen).astype(np.int32)[place]


def null_sums(score: Numbers, orders: Integers, sizes: Integers) -> Doubles:
    """Sums over the first images of every order: (S, N) and (B, longest) give (S, B, U).

    Args:
        sizes: (U,), ascending, at most ``longest``.
    """
    steps, longest = len(score), sizes[-1]
    sums = np.empty((steps, len(orders), len(sizes)))
    several = max(1, BLOCK_BYTES // (8 * steps * longest))
    for start in range(0, len(orders), several):
        block = slice(start, start + several)
        taken = score[:, orders[block, :longest]].astype(np.float64)
        sums[:, block] = np.cumsum(taken, axis=2, out=taken)[..., sizes - 1]
    return sums


def random_moments(score: Numbers, sizes: Integers) -> tuple[Doubles, Doubles]:
    """Exact mean and standard deviation of the sums of n images drawn without replacement: two arrays (S, U)."""
    score, n = score.astype(np.float64), score.shape[1]
    mean, variance = score.mean(1, keepdims=True), score.var(1, keepdims=True)
    return sizes * mean, np.sqrt(sizes * variance * (n - sizes) / (n - 1))


def random_null(score: Numbers, groups: Sequence[Integers], orders: Integers) -> Null:
    """The null *random* for the scores (S, N) of a target and method, with its orders (B, longest): a ``Null``."""
    sizes, of = np.unique([len(group) for group in groups], return_inverse=True)
    mean, sd = random_moments(score, sizes)
    counted = np.ones((len(groups), len(orders)), bool)
    return Null(mean[:, of], sd[:, of], null_sums(score, orders, sizes), of, counted)


def neighbourhood_null(score: Numbers, groups: Sequence[Integers], orders: Integers) -> Null:
    """The null *neighbourhoods*, likewise; its moments are those of the draws that a group is compared with."""
    sizes, of = np.unique([len(group) for group in groups], return_inverse=True)
    draws = null_sums(score, orders, sizes)
    counted = np.array([~np.isin(orders[:, 0], group) for group in groups])
    compared = [draws[:, chosen, size] for chosen, size in zip(counted, of)]
    mean, sd = (np.stack([moment(sums) for sums in compared], axis=1) for moment in (_mean, _sd))
    return Null(mean, sd, draws, of, counted)


def _mean(sums: Doubles) -> Doubles:
    return sums.mean(1) if sums.shape[1] else np.zeros(len(sums))


def _sd(sums: Doubles) -> Doubles:
    return sums.std(1, ddof=1) if sums.shape[1] > 1 else np.zeros(len(sums))


def standing(sums: Doubles, null: Null) -> tuple[Doubles, Doubles, Booleans, Doubles]:
    """z, p, whether p is of the normal tail, and the percentile among the draws, of sums (S, G): four such arrays.

    Where a null does not vary (a step whose scores are all equal) z is 0 and p 1.
    """
    z, p, percentile = np.zeros(sums.shape), np.ones(sums.shape), np.full(sums.shape, 50.0)
    normal = np.zeros(sums.shape, bool)
    for g, chosen in enumerate(null.counted):
        draws = null.draws[:, chosen, null.of[g]] - null.mean[:, [g]]
        deviation, sd, count = sums[:, g] - null.mean[:, g], null.sd[:, g], draws.shape[1]
        # sums of the same images in another order are equal but for rounding, which must not decide
        slack = ROUNDING * np.abs(null.draws[:, :, null.of[g]]).max(1)
        varies = sd > slack
        z[varies, g] = deviation[varies] / sd[varies]
        exceeding = (np.abs(draws) >= (np.abs(deviation) - slack)[:, None]).sum(1)
        normal[:, g] = (exceeding < FEW) & varies
        p[:, g] = np.where(normal[:, g], 2 * ndtr(-np.abs(z[:, g])), (1 + exceeding) / (1 + count))
        if count:
            low, high = (deviation + move * slack for move in (-1, 1))
            below = (draws < low[:, None]).sum(1) + (draws <= high[:, None]).sum(1)
            percentile[:, g] = 50 * below / count
    return z, p, normal, percentile


def q_values(p: Doubles) -> Doubles:
    """Benjamini and Hochberg's q of all p of one target and method: the lowest rate at which each is a discovery."""
    return false_discovery_control(np.ravel(p)).reshape(np.shape(p))


def error_of_sums(parts: Doubles | None) -> Doubles | None:
    """Standard error of the mean of the parts' sums: (P, S, G) gives (S, G); None for fewer than two parts."""
    return None if parts is None or len(parts) < 2 else parts.std(0, ddof=1) / np.sqrt(len(parts))


def errors_to_exclude(parts: int) -> float:
    """Half the width of an error's interval, in errors: Student's of level 95 % with P − 1 degrees of freedom.

    12.7 errors for two parts, 4.3 for three, 2.1 for twenty.
    """
    return float(stdtrit(parts - 1, 1 - LEVEL / 2))


def excluded(sums: Doubles, error: Doubles, parts: int, mean: Doubles) -> Booleans:
    """Whether an error's interval excludes the null's mean: bool (S, G).

    Args:
        error: (S, G). parts: P ≥ 2. mean: (S, G).
    """
    return np.abs(sums - mean) > errors_to_exclude(parts) * error
