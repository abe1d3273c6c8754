"""Which training images a retrained model sees: random subsets (§3.2), or all but some."""

import math

import numpy as np
from numpy.typing import NDArray

from waypoint.science.evaluation.ranking import top_and_bottom
from waypoint.science.random_streams import numpy_stream
from waypoint.science.types import Numbers


def subset_rows(seed: int, index: int, n: int, fraction: float) -> NDArray[np.int64]:
    """Rows of random subset ``index``, ascending: exactly ⌊fraction × n⌋ of n, whatever other subsets there are."""
    order = numpy_stream(seed, "subset", index).permutation(n)
    return np.sort(order[: math.floor(fraction * n)])


def removal_count(remove: float, n: int) -> int:
    """How many of n images an ``n_remove`` entry means: itself, or that share of n."""
    return remove if isinstance(remove, int) else round(remove * n)


def without_top(score: Numbers, remove: int) -> NDArray[np.int64]:
    """Rows that remain when the ``remove`` top-scored images are taken out, ascending; score (N,)."""
    return np.setdiff1d(np.arange(len(score)), top_and_bottom(score, remove)[0])


def without_random(seed: int, removal: int, n: int, remove: int) -> NDArray[np.int64]:
    """Rows that remain when random images are taken out; a larger removal contains a smaller one."""
    return np.sort(numpy_stream(seed, "random removal", removal).permutation(n)[remove:])
