"""Near-duplicates: images that an earlier one shows already, up to a root-mean-square error of their pixels."""

import itertools

import numpy as np

CELLS = 8  # a sketch has 8 × 8 cells: 1.5 kB for an image in colour
BLOCK_ROWS, BLOCK_BYTES = 512, 32 << 20
ROUNDING = 1e-12  # of squared norms in float64; a sketch may bring too many candidates, never too few


def first_of_each(read, n, threshold, progress=lambda done: None):
    """For every image the first one that shows the same, in their order: itself, or an earlier one that is too near.

    Exact, with bounded memory: whole images are held a block at a time. Of those that are the first of their kind
    only sketches stay in memory, whose distance is never larger than the images'; pairs with near sketches are
    compared pixel by pixel.

    Args:
        read: ``read(rows)`` are images, (b, C, H, W) in [-1, 1], all of one shape.
        threshold: root-mean-square error over an image's values, on the scale 0..1; at that distance both are firsts.
        progress: called with the number of images done.

    Returns:
        (n,) int; an image whose entry is its own index is the first of its kind.
    """
    firsts, sketches, result = [], [], np.arange(n)
    size = read([0])[0].size
    limit = size * (2 * threshold) ** 2  # squared distance on the scale of [-1, 1]
    rows = max(1, min(BLOCK_ROWS, BLOCK_BYTES // (8 * size)))
    for start in range(0, n, rows):
        block = read(list(range(start, min(n, start + rows)))).astype(np.float64)
        own = sketch(block)
        near_own = near(own, own, limit)
        near_first = np.hstack([near(own, earlier, limit) for earlier in sketches]) if sketches else None
        before, fresh = len(firsts), []
        for row, image in enumerate(block):
            candidates = ((start + other, block[other]) for other in fresh if near_own[row, other])
            if before:
                again = ((firsts[k], read([firsts[k]])[0]) for k in np.flatnonzero(near_first[row]))
                candidates = itertools.chain(again, candidates)
            same = (index for index, other in candidates if np.square(image - other).sum() < limit)
            result[start + row] = first = next(same, start + row)
            if first == start + row:
                fresh.append(row)
        firsts += [start + row for row in fresh]
        sketches.append(own[fresh])
        progress(start + len(block))
    return result


def distinct(read, n, threshold, progress=lambda done: None):
    """Indices of the images that stay when each that shows the same as an earlier one is dropped: (k,), ascending.

    Args:
        read, n, threshold, progress: as in ``first_of_each``.
    """
    return np.unique(first_of_each(read, n, threshold, progress))


def sketch(images):
    """Sums over cells, divided by the root of their size: coordinates along orthonormal directions.

    Args:
        images: (B, C, H, W).

    Returns:
        (B, C · cells), at most 8 × 8 cells.
    """
    for axis in (2, 3):
        edges = np.linspace(0, images.shape[axis], min(CELLS, images.shape[axis]) + 1).astype(int)
        width = np.diff(edges).reshape([-1 if a == axis else 1 for a in range(4)])
        images = np.add.reduceat(images, edges[:-1], axis=axis) / np.sqrt(width)
    return images.reshape(len(images), -1)


def near(a, b, limit):
    """Which rows of a (n, p) and b (m, p) have a squared distance below ``limit``, up to rounding: (n, m)."""
    norms = np.square(a).sum(1)[:, None] + np.square(b).sum(1)
    return norms - 2 * a @ b.T <= limit + ROUNDING * norms


def distances(image, blocks):
    """Root-mean-square errors, on the scale 0..1, between an image (C, H, W) and every image of some blocks: (n,).

    Args:
        blocks: iterates over (start, images (b, C, H, W)) in [-1, 1].
    """
    parts = [np.square(rows - image).reshape(len(rows), -1).mean(1, dtype=np.float64) for _, rows in blocks]
    return np.sqrt(np.concatenate(parts)) / 2


def nearest_other(vectors, own, blocks):
    """Euclidean distance from each vector to the nearest vector of some blocks that is not itself, float64 (m,).

    Args:
        vectors: (m, p). own: (m,) each one's number among all; -1: it is none of them.
        blocks: iterates over (start, rows (b, p)).
    """
    vectors = vectors.astype(np.float64)
    norms, found = np.square(vectors).sum(1), np.full(len(vectors), np.inf)
    for start, rows in blocks:
        rows = rows.astype(np.float64)
        squared = norms[:, None] + np.square(rows).sum(1) - 2 * vectors @ rows.T
        inside = (own >= start) & (own < start + len(rows))
        squared[np.flatnonzero(inside), own[inside] - start] = np.inf
        found = np.minimum(found, squared.min(1))
    return np.sqrt(np.maximum(found, 0))
