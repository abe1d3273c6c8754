"""Near-duplicates: images that equal an earlier one up to a given root-mean-square error of their pixels."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from waypoint.store.types import Values

ReadImages: TypeAlias = Callable[[Sequence[int]], Values]  # images (b, C, H, W) of some rows

CELLS = 8  # a sketch has 8 × 8 cells: 1.5 kB for a colour image
BLOCK_ROWS, BLOCK_BYTES = 512, 32 << 20
ROUNDING = 1e-12  # of squared norms in float64; sketches may give too many candidates, never too few


def first_of_each(
    read: ReadImages, n: int, threshold: float, progress: Callable[[int], object] = lambda done: None
) -> NDArray[np.int64]:
    """Find, for each image, the first image that shows the same: itself, or an earlier one that is too near.

    Exact, with bounded memory: whole images are read one block at a time. Of images that are the first of their kind,
    only sketches stay in memory. The distance of two sketches never exceeds that of the images; pairs with near
    sketches are compared pixel by pixel.

    Args:
        read: ``read(rows)`` returns images (b, C, H, W) in [-1, 1], all of one shape.
        threshold: root-mean-square error over an image's values, on the scale 0..1; images at exactly this distance
            count as different.
        progress: called with the number of images done.

    Returns:
        (n,) int; an image whose entry is its own index is the first of its kind.
    """
    firsts: list[int] = []
    sketches: list[Values] = []
    result = np.arange(n)
    size = read([0])[0].size
    limit = size * (2 * threshold) ** 2  # squared distance on the scale of [-1, 1]
    rows = max(1, min(BLOCK_ROWS, BLOCK_BYTES // (8 * size)))
    for start in range(0, n, rows):
        block = read(list(range(start, min(n, start + rows)))).astype(np.float64)
        block_sketches = sketch(block)
        near_in_block = near(block_sketches, block_sketches, limit)
        near_earlier = np.hstack([near(block_sketches, earlier, limit) for earlier in sketches]) if sketches else None
        new_firsts: list[int] = []
        for row, image in enumerate(block):
            candidates = ((start + other, block[other]) for other in new_firsts if near_in_block[row, other])
            if near_earlier is not None:
                near_firsts: list[int] = [firsts[k] for k in np.flatnonzero(near_earlier[row])]
                candidates = itertools.chain(((first, read([first])[0]) for first in near_firsts), candidates)
            matches = (index for index, other in candidates if np.square(image - other).sum() < limit)
            result[start + row] = first = next(matches, start + row)
            if first == start + row:
                new_firsts.append(row)
        firsts += [start + row for row in new_firsts]
        sketches.append(block_sketches[new_firsts])
        progress(start + len(block))
    return result


def distinct(
    read: ReadImages, n: int, threshold: float, progress: Callable[[int], object] = lambda done: None
) -> NDArray[np.int64]:
    """Return the indices (k,), ascending, of all images except near-duplicates of earlier ones.

    Args:
        read, n, threshold, progress: as in ``first_of_each``.
    """
    return np.unique(first_of_each(read, n, threshold, progress))


def sketch(images: Values) -> Values:
    """Sum over cells and divide by the square root of the cells' sizes: coordinates along orthonormal directions.

    Args:
        images: (B, C, H, W).

    Returns:
        (B, C · cells), at most 8 × 8 cells.
    """
    for axis in (2, 3):
        length: int = images.shape[axis]
        edges = np.linspace(0, length, min(CELLS, length) + 1).astype(int)
        width = np.diff(edges).reshape([-1 if a == axis else 1 for a in range(4)])
        images = np.add.reduceat(images, edges[:-1], axis=axis) / np.sqrt(width)
    return images.reshape(len(images), -1)


def near(a: Values, b: Values, limit: float) -> NDArray[np.bool_]:
    """Whether rows of a (n, p) and b (m, p) have a squared distance up to ``limit``, allowing for rounding: (n, m)."""
    norms = np.square(a).sum(1)[:, None] + np.square(b).sum(1)
    return norms - 2 * a @ b.T <= limit + ROUNDING * norms


def distances(image: Values, blocks: Iterable[tuple[int, Values]]) -> NDArray[np.float64]:
    """Return the root-mean-square errors (n,), on the scale 0..1, between an image (C, H, W) and all images in blocks.

    Args:
        blocks: iterates over (start, images (b, C, H, W)) in [-1, 1].
    """
    parts = [np.square(rows - image).reshape(len(rows), -1).mean(1, dtype=np.float64) for _, rows in blocks]
    return np.sqrt(np.concatenate(parts)) / 2


def nearest_other(
    vectors: Values, indices: NDArray[np.integer], blocks: Iterable[tuple[int, Values]]
) -> NDArray[np.float64]:
    """Return the Euclidean distance from each vector to the nearest other vector in some blocks, float64 (m,).

    Args:
        vectors: (m, p). indices: (m,) of the vectors among all rows of the blocks; -1 for a vector that is not a row.
        blocks: iterates over (start, rows (b, p)).
    """
    vectors = vectors.astype(np.float64)
    norms, nearest = np.square(vectors).sum(1), np.full(len(vectors), np.inf)
    for start, rows in blocks:
        rows = rows.astype(np.float64)
        squared = norms[:, None] + np.square(rows).sum(1) - 2 * vectors @ rows.T
        inside = (indices >= start) & (indices < start + len(rows))
        squared[np.flatnonzero(inside), indices[inside] - start] = np.inf
        nearest = np.minimum(nearest, squared.min(1))
    return np.sqrt(np.maximum(nearest, 0))
