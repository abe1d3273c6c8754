"""Near-duplicates: images that equal an earlier one up to a root-mean-square error of their pixels."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from waypoint.store.types import Values

ReadImages: TypeAlias = Callable[[Sequence[int]], Values]  # images (b, C, H, W) of some rows

CELLS = 8  # a sketch has 8 × 8 cells: 1.5 kB for an image in colour
BLOCK_ROWS, BLOCK_BYTES = 512, 32 << 20
ROUNDING = 1e-12  # of squared norms in float64; a sketch may bring too many candidates, never too few


def first_of_each(
    read: ReadImages, n: int, threshold: float, progress: Callable[[int], object] = lambda done: None
) -> NDArray[np.int64]:
    """The first image that shows the same as each image: itself, or an earlier one that is too near.

    Exact, with bounded memory: whole images are held a block at a time. Of images that are the first of their kind
    only sketches stay in memory, whose distance is never larger than the images'; pairs with near sketches are
    compared pixel by pixel.

    Args:
        read: ``read(rows)`` are images, (b, C, H, W) in [-1, 1], all of one shape.
        threshold: root-mean-square error over an image's values, on the scale 0..1; at that distance images
            are two.
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
        sketched = sketch(block)
        near_here = near(sketched, sketched, limit)
        near_first = np.hstack([near(sketched, earlier, limit) for earlier in sketches]) if sketches else None
        fresh: list[int] = []
        for row, image in enumerate(block):
            candidates = ((start + other, block[other]) for other in fresh if near_here[row, other])
            if near_first is not None:
                near_firsts: list[int] = [firsts[k] for k in np.flatnonzero(near_first[row])]
                candidates = itertools.chain(((first, read([first])[0]) for first in near_firsts), candidates)
            same = (index for index, other in candidates if np.square(image - other).sum() < limit)
            result[start + row] = first = next(same, start + row)
            if first == start + row:
                fresh.append(row)
        firsts += [start + row for row in fresh]
        sketches.append(sketched[fresh])
        progress(start + len(block))
    return result


def distinct(
    read: ReadImages, n: int, threshold: float, progress: Callable[[int], object] = lambda done: None
) -> NDArray[np.int64]:
    """Indices (k,), ascending, of the images without those that show the same as an earlier one.

    Args:
        read, n, threshold, progress: as in ``first_of_each``.
    """
    return np.unique(first_of_each(read, n, threshold, progress))


def sketch(images: Values) -> Values:
    """Sums over cells, divided by the root of the cells' sizes: coordinates along orthonormal directions.

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
    """Whether rows of a (n, p) and b (m, p) have a squared distance below ``limit``, up to rounding: (n, m)."""
    norms = np.square(a).sum(1)[:, None] + np.square(b).sum(1)
    return norms - 2 * a @ b.T <= limit + ROUNDING * norms


def distances(image: Values, blocks: Iterable[tuple[int, Values]]) -> NDArray[np.float64]:
    """Root-mean-square errors, on the scale 0..1, between an image (C, H, W) and every image of some blocks: (n,).

    Args:
        blocks: iterates over (start, images (b, C, H, W)) in [-1, 1].
    """
    parts = [np.square(rows - image).reshape(len(rows), -1).mean(1, dtype=np.float64) for _, rows in blocks]
    return np.sqrt(np.concatenate(parts)) / 2


def nearest_other(
    vectors: Values, indices: NDArray[np.integer], blocks: Iterable[tuple[int, Values]]
) -> NDArray[np.float64]:
    """Euclidean distance from each vector to the nearest other vector in some blocks, float64 (m,).

    Args:
        vectors: (m, p). indices: (m,) of the vectors among all rows of the blocks; -1 for a vector that is no row.
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
