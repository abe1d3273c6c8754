"""Which images of a list would be there again: the noise floor of rankings, without retraining.

Scores come in *parts* that know nothing of each other's noise: one for each checkpoint, or for each half of the draws
of a single one. The parts are split into two halves A and B, in every way that is as even as possible. Each half has
its mean over its parts, standardised over the training images. How far a split *confirms* an image is the smaller of
its two standings: a list that is cut there holds the image both where A chose it, which B then judges, and where B
chose it, which A judges. The statistic of an image is the mean of this over the splits.

Most of a list of noise looks confirmed, because both halves had to be high for an image to come into it. So the same
statistic is taken after the images were permuted within each part, which leaves every part's own scores as they are and
nothing that the parts have in common (Good, Permutation, Parametric and Bootstrap Tests of Hypotheses, 2005), and the
lists are made anew. Over the images of all these lists on the same side and at the same step,

    p = (1 + number of their statistics that are at least as large) / (1 + their number)

(Phipson & Smyth, Statistical Applications in Genetics and Molecular Biology 9, 2010). An image is found where
Benjamini and Hochberg's q over its list is at most 2.5 % (JRSS B 57, 1995): of what is found on both sides at most
5 % is chance, on average; of steps whose scores are noise about 5 % have any image that is found.

Training images differ in how noisy their scores are, and noisy ones are far out in both halves more often than permuted
ones. So standings are measured in the image's own noise: the root mean square, over all steps, of what its parts differ
by, shrunk towards the average image's, as in moderated t statistics (Smyth, ibid. 3, 2004). Where images differ much,
this does not take all of it away: with noise whose size varies by a factor of e from image to image, about 5 % of
listed images are found, and no longer less than 1 %.

Shapes: P parts, S steps, N training images, K the length of a list.
"""

# SciPy is untyped
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np
from scipy.stats import false_discovery_control

from waypoint.science.evaluation.ranking import top_and_bottom
from waypoint.science.types import Booleans, Doubles, Integers, Numbers

LEVEL = 0.05  # share of what is found that is chance, half of it on either side
PERMUTATIONS = 199
WAYS = 10  # to split parts, at most
PRIOR = 4  # degrees of freedom by which an image's own noise is shrunk


Halves: TypeAlias = tuple[list[int], list[int]]  # the parts of either half of a split


@dataclass(frozen=True)
class Judged:
    """The two lists of every step, the largest scores first and the smallest first, and how the halves judge them.

    Attributes:
        images: int (2, S, K), training images; ties by index.
        q: float (2, S, K), NaN where there are no parts. found: bool (2, S, K).
        rank_low, rank_high: int (2, S, K), best and worst rank of the image, from 1, in the lists of the halves on its
            side; 0 where there are no parts.
    """

    images: Integers
    q: Doubles
    found: Booleans
    rank_low: Integers
    rank_high: Integers


def judge(
    score: Numbers, parts: Numbers | None, k: int, rng: np.random.Generator | None, permutations: int = PERMUTATIONS
) -> Judged:
    """Make the lists of every step and judge them.

    Args:
        score: (S, N), which makes the lists. parts: (P, S, N), or None where there is nothing to judge by.
        k: length of a list. rng: numpy's generator, which only lists with parts need.

    Returns:
        ``Judged``.
    """
    lists = np.array([top_and_bottom(row, k) for row in score]).transpose(1, 0, 2)
    if parts is None or len(parts) < 2:
        none = np.zeros(lists.shape, int)
        return Judged(lists, np.full(lists.shape, np.nan), none.astype(bool), none, none)
    if rng is None:
        raise ValueError("judging lists by their parts needs a random generator")
    parts = np.asarray(parts, np.float64)
    ways = splits(len(parts), rng)
    observed = confirmed(parts, lists, ways)
    chance: list[Doubles] = []
    for _ in range(permutations):
        # what is permuted is the relation of the parts: the first one may stay
        permuted = np.stack([parts[0], *(part[:, rng.permutation(part.shape[1])] for part in parts[1:])])
        chance.append(confirmed(permuted, lists_of(permuted.mean(0), lists.shape[2]), ways))
    q = false_discovery_control(p_values(observed, np.concatenate(chance, axis=2)), axis=2)
    return Judged(lists, q, q <= LEVEL / 2, *rank_range(parts, lists, ways))


def p_values(observed: Doubles, chance: Doubles) -> Doubles:
    """Share of the statistics of permuted lists (2, S, B·K) that reach each of ``observed`` (2, S, K)."""
    p, count = np.empty(observed.shape), chance.shape[2]
    for place in np.ndindex(observed.shape[:2]):
        below = np.searchsorted(np.sort(chance[place]), observed[place], side="left")
        p[place] = (1 + count - below) / (1 + count)
    return p


def splits(parts: int, rng: np.random.Generator) -> list[Halves]:
    """Ways to split parts into halves whose sizes differ by at most one: [(A, B)], indices; all, or ten at random.

    Args:
        parts: P ≥ 2. rng: numpy's generator; only more than six parts take numbers from it.
    """
    size, every = parts // 2, range(parts)
    if parts <= 6:
        # of an even number each way would come twice, with A and B exchanged
        ways = [way for way in combinations(every, size) if parts % 2 or 0 in way]
    else:
        ways = [tuple(sorted(rng.permutation(parts)[:size].tolist())) for _ in range(WAYS)]
    return [(list(way), [m for m in every if m not in way]) for way in ways]


def lists_of(score: Numbers, k: int) -> Integers:
    """The k largest and the k smallest of every row (S, N), in no order: int (2, S, k)."""
    n = score.shape[1]
    order = np.argpartition(score, (k - 1, n - k), axis=1)
    return np.stack([order[:, n - k :], order[:, :k]])


def confirmed(parts: Doubles, lists: Integers, ways: Sequence[Halves]) -> Doubles:
    """The statistic of listed images: parts (P, S, N) and lists (2, S, K) give (2, S, K); the larger the better.

    Args:
        ways: of ``splits``.
    """
    total = np.zeros(lists.shape)
    for halves in ways:
        standings = [standing(parts[half].mean(0), lists) for half in halves]
        total += np.minimum(*standings)
    return total / len(ways) / own_noise(parts, lists)


def standing(mean: Doubles, lists: Integers) -> Doubles:
    """How far listed images stand out on their side, in sd over the images: (S, N) and (2, S, K) give (2, S, K)."""
    sd = mean.std(1, keepdims=True)
    z = np.divide(mean - mean.mean(1, keepdims=True), sd, out=np.zeros_like(mean), where=sd > 0)
    plus, minus = (np.take_along_axis(z, chosen, 1) for chosen in lists)
    return np.stack([plus, -minus])


def own_noise(parts: Doubles, lists: Integers) -> Doubles:
    """How noisy listed images are beside the average image: (P, S, N) and (2, S, K) give (2, S, K), about 1."""
    noise = parts.var(0)  # (S, N)
    average = noise.mean(1, keepdims=True)
    relative = np.divide(noise, average, out=np.ones_like(noise), where=average > 0).mean(0)
    free = parts.shape[1] * (len(parts) - 1)
    return np.sqrt((PRIOR + free * relative) / (PRIOR + free))[lists]


def rank_range(parts: Doubles, lists: Integers, ways: Sequence[Halves]) -> tuple[Integers, Integers]:
    """Best and worst rank, from 1, of listed images among all images in the halves: twice int (2, S, K)."""
    ranks: list[Integers] = []
    for halves in ways:
        for half in halves:
            mean = parts[half].mean(0)
            ascending = np.argsort(np.argsort(mean, axis=1, kind="stable"), axis=1)
            plus, minus = (np.take_along_axis(ascending, chosen, 1) for chosen in lists)
            ranks.append(np.stack([mean.shape[1] - plus, minus + 1]))
    return np.min(ranks, 0), np.max(ranks, 0)
