"""The distance up to which training images count as near-duplicates in all comparisons."""

import numpy as np

from waypoint.science.evaluation.given_image import copy_limit
from waypoint.science.random_streams import numpy_stream
from waypoint.store.data.near_duplicates import nearest_other
from waypoint.store.zarr.reader import Rows, blocks

SAMPLE = 128  # number of training images whose distances to their nearest others define what is usual


def sample_of(job, n):
    """Return the indices, ascending, of a sample of the ``n`` training images that is compared with all others."""
    return np.sort(numpy_stream(job.settings["seed"], "compared images").permutation(n)[:SAMPLE])


def limit_and_usual(job, images):
    """Return the limit, and the distances (m,) of some images to their nearest others: errors on the scale 0..1.

    The limit is ``data.near_duplicates`` if set, and otherwise follows from the distances (``copy_limit``).

    Args:
        images: an array of an open store, (N, C, H, W) in [-1, 1].
    """
    sample = sample_of(job, images.shape[0])
    rows = ((start, flat(rows)) for start, rows in blocks(images))
    # from root sums of squares in [-1, 1] to root mean squares on the scale 0..1
    usual = nearest_other(flat(Rows(images)[sample]), sample, rows) / (2 * np.prod(images.shape[1:]) ** 0.5)
    return float(job.settings["data"].get("near_duplicates") or copy_limit(usual)), usual


def flat(rows):
    """Return images as vectors (n, p)."""
    return rows.reshape(len(rows), -1)
