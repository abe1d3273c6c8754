"""A target's denoising process as the page shows it: x_t, x̂0_t and samples of p(·|x_t) at some steps, as pictures."""

from collections.abc import Sequence

import numpy as np
import zarr
from numpy.typing import NDArray

from waypoint.store.types import array_of
from waypoint.store.zarr.reader import Rows, read

SAMPLES = 4  # samples of p(·|x_t) shown of a step
Pictures = NDArray[np.float32]


class Process:
    """The pictures of a target's process.

    Args:
        trajectory, samples: the target's open stores. steps: the S steps, all of them in both stores.
    """

    def __init__(self, trajectory: zarr.Group, samples: zarr.Group, steps: Sequence[int]):
        self.steps = list(steps)
        self._sample, self._sampled = array_of(samples, "sample"), _positions(samples, steps)
        if "x_t_image" in samples:  # decoded latents
            store, names, self._rows = samples, ("x_t_image", "x0_hat_image"), self._sampled
        else:
            store, names, self._rows = trajectory, ("x_t", "x0_hat"), _positions(trajectory, steps)
        self._x_t, self._x0_hat = (array_of(store, name) for name in names)

    def x_t(self) -> Pictures:
        """Return x_t, (S, C, H, W), each divided by half of its largest value if that is above 1: noise exceeds 1."""
        x_t = Rows(self._x_t, self._rows)[range(len(self.steps))]
        return x_t / np.maximum(1, np.abs(x_t).max(axis=(1, 2, 3), keepdims=True) / 2)

    def x0_hat(self) -> Pictures:
        """Return x̂0_t, (S, C, H, W)."""
        return Rows(self._x0_hat, self._rows)[range(len(self.steps))]

    def samples(self) -> Pictures:
        """Return the samples shown, (S, at most SAMPLES, C, H, W)."""
        return np.stack([read(self._sample, (row, slice(SAMPLES))) for row in self._sampled])


def _positions(store: zarr.Group, steps: Sequence[int]) -> list[int]:
    """Return the rows of steps in a store."""
    grid = read(array_of(store, "step")).tolist()
    return [grid.index(t) for t in steps]
