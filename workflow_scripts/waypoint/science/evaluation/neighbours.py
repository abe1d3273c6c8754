"""Nearest training images, by pixels or by an encoder's embeddings."""

import numpy as np

from waypoint.science.types import Integers, Numbers, Singles

SIDE = 16  # maximal number of cells along each side of an image
BATCH = 128  # images whose neighbours are searched at once


def pooled(images: Numbers) -> Singles:
    """Average images (b, C, H, W) over at most 16 × 16 cells, to ignore fine noise: float32 (b, values)."""
    return _averaged(_averaged(images, 2), 3).reshape(len(images), -1).astype(np.float32)


def _averaged(images: Numbers, axis: int) -> Numbers:
    size = int(images.shape[axis])
    edges = np.linspace(0, size, min(size, SIDE) + 1).astype(int)
    shape = [-1 if k == axis else 1 for k in range(4)]
    return np.add.reduceat(images, edges[:-1], axis=axis) / np.diff(edges).reshape(shape)


def normalised(vectors: Numbers) -> Singles:
    """Scale vectors (b, D) to length 1, so that near vectors have a large cosine. Zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors, np.float32), where=length > 0)


def nearest(vectors: Numbers, chosen: Integers, longest: int) -> Integers:
    """Return the nearest images by Euclidean distance, from near to far; ties by index.

    Args:
        vectors: (N, D). chosen: (b,), images whose neighbours are searched. longest: number of neighbours, at most N.

    Returns:
        int32 (b, longest); each row begins with the image itself.
    """
    squares = np.einsum("nd,nd->n", vectors, vectors)
    rows: list[Integers] = []
    for start in range(0, len(chosen), BATCH):
        batch = chosen[start : start + BATCH]
        distance = squares - 2 * (vectors[batch] @ vectors.T)  # up to a constant in each row
        distance[np.arange(len(batch)), batch] = -np.inf
        farthest = np.partition(distance, longest - 1, axis=1)[:, longest - 1]
        # ties are broken here: which of several equals a partition selects depends on the processor
        for row, limit in zip(distance, farthest):
            candidates = np.flatnonzero(row <= limit)
            rows.append(candidates[np.argsort(row[candidates], kind="stable")[:longest]].astype(np.int32))
    return np.stack(rows)
