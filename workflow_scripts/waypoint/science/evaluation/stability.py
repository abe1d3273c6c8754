"""Which listed images would be listed again? The noise floor of rankings, without retraining.

Scores come in *parts* with independent noise: one per checkpoint, or one per half of the draws of a single checkpoint.
The parts are split into two halves A and B, in every way that is as even as possible. Each half has its mean over its
parts, standardised over the training images: the *standing* of an image. A split *confirms* an image to the smaller of
its standings in A and B: a list cut there contains the image both when A selects and B judges, and when B selects and A
judges. The statistic of an image is the mean of this over the splits.

Most of a list of pure noise looks confirmed, because an image is listed only if both halves are high. The same
statistic is therefore computed after permuting the images within each part, which keeps every part's scores but removes
everything that the parts have in common (Good, Permutation, Parametric and Bootstrap Tests of Hypotheses, 2005), with
new lists. Over the images of all these lists on the same side and at the same step,

    p = (1 + number of their statistics that are at least as large) / (1 + their number)

(Phipson & Smyth, Statistical Applications in Genetics and Molecular Biology 9, 2010). An image is *found* if Benjamini
and Hochberg's q over its list is at most 2.5 % (JRSS B 57, 1995): on average at most 5 % of the images found on both
sides are due to chance, and about 5 % of steps whose scores are noise have any found image.

Some training images have noisier scores than others and are extreme in both halves more often than permuted images. The
statistic is therefore divided by the image's own noise: the root mean square, over all steps, of the differences
between its parts, shrunk towards the average image's, as in moderated t statistics (Smyth, ibid. 3, 2004). If images
differ strongly, this does not remove the effect entirely: with noise whose size varies by a factor of e from image to
image, about 5 % of listed images are found instead of less than 1 %.

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

LEVEL = 0.05  # share of found images due to chance, half of it on each side
PERMUTATIONS = 199
SPLITS = 10  # maximal number of splits
PRIOR = 4  # prior degrees of freedom for an image's own noise

Halves: TypeAlias = tuple[list[int], list[int]]  # the parts in each half of a split


@dataclass(frozen=True)
class Judged:
    """The lists of the largest and of the smallest scores of every step, and their judgement by the halves.

    Attributes:
        images: int (2, S, K), training images; ties by index.
        q: float (2, S, K), NaN without parts. found: bool (2, S, K).
        rank_low, rank_high: int (2, S, K), best and worst rank of the image on its side, from 1, in the halves; 0
            without parts.
    """

    images: Integers
    q: Doubles
    found: Booleans
    rank_low: Integers
    rank_high: Integers


def judge(
    score: Numbers, parts: Numbers | None, k: int, rng: np.random.Generator | None, permutations: int = PERMUTATIONS
) -> Judged:
    """List the largest and smallest scores of every step and judge the lists.

    Args:
        score: (S, N), which determines the lists. parts: (P, S, N), or None if there is nothing to judge by; a single
            part judges nothing either.
        k: length of a list, 1 ≤ k ≤ N. rng: a NumPy generator, required with two parts or more.
        permutations: number of permuted copies of the parts.

    Returns:
        ``Judged``, whose arrays are (2, S, k).

    Raises:
        ValueError: there are two parts or more, but no ``rng``.
    """
    lists = np.array([top_and_bottom(row, k) for row in score]).transpose(1, 0, 2)
    if parts is None or len(parts) < 2:
        zeros = np.zeros(lists.shape, int)
        return Judged(lists, np.full(lists.shape, np.nan), zeros.astype(bool), zeros, zeros)
    if rng is None:
        raise ValueError("judging lists by their parts needs a random generator")
    parts = np.asarray(parts, np.float64)
    halvings = splits(len(parts), rng)
    observed = confirmed(parts, lists, halvings)
    chance: list[Doubles] = []
    for _ in range(permutations):
        # only the relation between parts matters, so the first may stay
        permuted = np.stack([parts[0], *(part[:, rng.permutation(part.shape[1])] for part in parts[1:])])
        chance.append(confirmed(permuted, extremes(permuted.mean(0), lists.shape[2]), halvings))
    q = false_discovery_control(p_values(observed, np.concatenate(chance, axis=2)), axis=2)
    return Judged(lists, q, q <= LEVEL / 2, *rank_range(parts, lists, halvings))


def p_values(observed: Doubles, chance: Doubles) -> Doubles:
    """Return the share of the statistics of permuted lists (2, S, B·K) that reach each ``observed`` one (2, S, K)."""
    p, count = np.empty(observed.shape), chance.shape[2]
    for index in np.ndindex(observed.shape[:2]):
        below = np.searchsorted(np.sort(chance[index]), observed[index], side="left")
        p[index] = (1 + count - below) / (1 + count)
    return p


def splits(parts: int, rng: np.random.Generator) -> list[Halves]:
    """Split parts into halves A and B whose sizes differ by at most one: all [(A, B)], or ten random ones.

    Args:
        parts: P ≥ 2. rng: a NumPy generator, used only for more than six parts.
    """
    size, indices = parts // 2, range(parts)
    if parts <= 6:
        # with an even number, each split would occur twice, with A and B exchanged
        halvings = [half for half in combinations(indices, size) if parts % 2 or 0 in half]
    else:
        halvings = [tuple(sorted(rng.permutation(parts)[:size].tolist())) for _ in range(SPLITS)]
    return [(list(half), [m for m in indices if m not in half]) for half in halvings]


def extremes(score: Numbers, k: int) -> Integers:
    """Return the k largest and the k smallest of every row (S, N), in no order: int (2, S, k)."""
    n = score.shape[1]
    order = np.argpartition(score, (k - 1, n - k), axis=1)
    return np.stack([order[:, n - k :], order[:, :k]])


def confirmed(parts: Doubles, lists: Integers, halvings: Sequence[Halves]) -> Doubles:
    """Return the statistic of listed images: parts (P, S, N) and lists (2, S, K) give (2, S, K); larger is better.

    Args:
        halvings: from ``splits``.
    """
    total = np.zeros(lists.shape)
    for halves in halvings:
        standings = [standing(parts[half].mean(0), lists) for half in halves]
        total += np.minimum(*standings)
    return total / len(halvings) / relative_noise(parts, lists)


def standing(mean: Doubles, lists: Integers) -> Doubles:
    """Return how far listed images stand out on their side, in sd over images: (S, N), (2, S, K) give (2, S, K)."""
    sd = mean.std(1, keepdims=True)
    z = np.divide(mean - mean.mean(1, keepdims=True), sd, out=np.zeros_like(mean), where=sd > 0)
    plus, minus = (np.take_along_axis(z, listed, 1) for listed in lists)
    return np.stack([plus, -minus])


def relative_noise(parts: Doubles, lists: Integers) -> Doubles:
    """Return the noise of listed images relative to the average image, about 1: (P, S, N), (2, S, K) give (2, S, K)."""
    noise = parts.var(0)  # (S, N)
    average = noise.mean(1, keepdims=True)
    relative = np.divide(noise, average, out=np.ones_like(noise), where=average > 0).mean(0)
    freedom = parts.shape[1] * (len(parts) - 1)
    return np.sqrt((PRIOR + freedom * relative) / (PRIOR + freedom))[lists]


def rank_range(parts: Doubles, lists: Integers, halvings: Sequence[Halves]) -> tuple[Integers, Integers]:
    """Return best and worst rank, from 1, of listed images among all images in the halves: twice int (2, S, K)."""
    ranks: list[Integers] = []
    for halves in halvings:
        for half in halves:
            mean = parts[half].mean(0)
            ascending = np.argsort(np.argsort(mean, axis=1, kind="stable"), axis=1)
            plus, minus = (np.take_along_axis(ascending, listed, 1) for listed in lists)
            ranks.append(np.stack([mean.shape[1] - plus, minus + 1]))
    return np.min(ranks, 0), np.max(ranks, 0)
