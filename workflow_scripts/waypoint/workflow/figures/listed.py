"""The images that lists may name: the first of each group of near-duplicates, with the size of the group."""

import numpy as np

from waypoint.store.zarr.reader import read


class Listed:
    """The training images that lists may name.

    Attributes:
        images: (K,) int, the first image of each group of near-duplicates, ascending.

    Args:
        store: the open data/near_duplicates.zarr.
    """

    def __init__(self, store):
        first = read(store["first"])
        self.images, counts = np.unique(first, return_counts=True)
        self._counts = dict(zip(self.images.tolist(), counts.tolist()))

    def __len__(self):
        return len(self.images)

    def alike(self, i):
        """Return the number of training images that show the same as the listed image i, including itself."""
        return self._counts[int(i)]

    def mark(self, i):
        """Return that number as a mark below an image, or an empty string if the image is the only one."""
        return f" ×{self.alike(i)}" if self.alike(i) > 1 else ""
