"""The training images of retrained models: random subsets (§3.2), or all images except some."""

import math

import numpy as np
from numpy.typing import NDArray

from waypoint.science.evaluation.ranking import top_and_bottom
from waypoint.science.random_streams import numpy_stream
from waypoint.science.types import Numbers


def subset_rows(seed: int, index: int, n: int, fraction: float) -> NDArray[np.int64]:
    """Return the rows of random subset ``index``, ascending: ⌊fraction × n⌋ of n, independent of other subsets."""
    order = numpy_stream(seed, "subset", index).permutation(n)
    return np.sort(order[: math.floor(fraction * n)])


def removal_count(remove: float, n: int) -> int:
    """Return the number of images that an ``n_remove`` entry means: itself, or that share of n."""
    return remove if isinstance(remove, int) else round(remove * n)


def without_top(score: Numbers, remove: int) -> NDArray[np.int64]:
    """Return the rows that remain without the ``remove`` top-scored images, ascending; score (N,)."""
    return np.setdiff1d(np.arange(len(score)), top_and_bottom(score, remove)[0])


def without_random(seed: int, removal: int, n: int, remove: int) -> NDArray[np.int64]:
    """Return the rows that remain without ``remove`` random images; a larger removal contains a smaller one."""
    return np.sort(numpy_stream(seed, "random removal", removal).permutation(n)[remove:])
