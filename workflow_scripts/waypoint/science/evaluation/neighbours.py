"""Training images that are near each other: by their pixels, or by an encoder's embeddings."""

import numpy as np

from waypoint.science.types import Integers, Numbers, Singles

SIDE = 16  # cells along each side of an image, at most
AT_ONCE = 128  # images whose neighbours are sought


def pooled(images: Numbers) -> Singles:
    """Images (b, C, H, W) averaged over at most 16 × 16 cells: float32 (b, values); fine noise makes none near."""
    return _averaged(_averaged(images, 2), 3).reshape(len(images), -1).astype(np.float32)


def _averaged(images: Numbers, axis: int) -> Numbers:
    size = int(images.shape[axis])
    edges = np.linspace(0, size, min(size, SIDE) + 1).astype(int)
    shape = [-1 if k == axis else 1 for k in range(4)]
    return np.add.reduceat(images, edges[:-1], axis=axis) / np.diff(edges).reshape(shape)


def normalised(vectors: Numbers) -> Singles:
    """Vectors (b, D) scaled to length 1, so that near vectors are those with a large cosine. Zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors, np.float32), where=length > 0)


def nearest(vectors: Numbers, chosen: Integers, longest: int) -> Integers:
    """The nearest images by Euclidean distance, from near to far; ties by index.

    Args:
        vectors: (N, D). chosen: (b,), images whose neighbours are sought. longest: how many, at most N.

    Returns:
        int32 (b, longest); each row begins with the image itself.
    """
    squares = np.einsum("nd,nd->n", vectors, vectors)
    rows: list[Integers] = []
    for start in range(0, len(chosen), AT_ONCE):
        some = chosen[start : start + AT_ONCE]
        distance = squares - 2 * (vectors[some] @ vectors.T)  # but for what all of a row have in common
        distance[np.arange(len(some)), some] = -np.inf
        farthest = np.partition(distance, longest - 1, axis=1)[:, longest - 1]
        for row, limit in zip(distance, farthest):  # which of equals a partition takes is the processor's choice
            near = np.flatnonzero(row <= limit)
            rows.append(near[np.argsort(row[near], kind="stable")[:longest]].astype(np.int32))
    return np.stack(rows)
