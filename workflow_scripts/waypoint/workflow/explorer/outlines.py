"""The border of a mask as an SVG path, in pixels of the image."""

import numpy as np
from numpy.typing import NDArray


def outline(mask: NDArray[np.floating]) -> str:
    """Return the edges between pixels inside and outside a mask (H, W) as the ``d`` of an SVG path.

    Adjacent edges along a line are merged.
    """
    inside = np.pad(mask > 0, 1)
    rows, columns = (inside[1:] != inside[:-1])[:, 1:-1], (inside[:, 1:] != inside[:, :-1])[1:-1].T
    across = [f"M{a} {y}H{b}" for y, row in enumerate(rows) for a, b in _runs(row)]
    down = [f"M{x} {a}V{b}" for x, column in enumerate(columns) for a, b in _runs(column)]
    return "".join(across + down)


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (start, stop) of every run of true entries."""
    changes = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(changes[::2].tolist(), changes[1::2].tolist()))
