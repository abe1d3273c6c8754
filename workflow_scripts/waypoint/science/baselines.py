"""Attribution methods without gradients: pixel similarity (§5.1) and random scores."""

from collections.abc import Iterable

import numpy as np

from waypoint.science.random_streams import numpy_stream
from waypoint.science.types import Doubles, Numbers


def cosine(images: Numbers, references: Numbers) -> Doubles:
    """Cosine similarity in pixel space, or between embeddings (b, F).

    Args:
        images: (b, C, H, W) training images. references: (steps, C, H, W).

    Returns:
        float64 (steps, b); 0 where either image is zero everywhere.
    """
    a = images.reshape(len(images), -1).astype(np.float64)
    b = references.reshape(len(references), -1).astype(np.float64)
    norms = np.outer(np.linalg.norm(b, axis=1), np.linalg.norm(a, axis=1))
    return np.divide(b @ a.T, norms, out=np.zeros_like(norms), where=norms > 0)


def random_scores(seed: int, target: str, steps: Iterable[int], n: int) -> Doubles:
    """Independent N(0, 1) scores per step, keyed by (target, step): (steps, n)."""
    return np.stack([numpy_stream(seed, "random scores", target, int(t)).standard_normal(n) for t in steps])
