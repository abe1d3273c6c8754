"""The images that lists name: of those that show the same only the first, with their number."""

import numpy as np

from waypoint.store.zarr.reader import read


class Listed:
    """The training images that lists name.

    Attributes:
        images: (K,) int, the first of every kind, ascending.

    Args:
        store: open data/near_duplicates.zarr.
    """

    def __init__(self, store):
        first = read(store["first"])
        self.images, counts = np.unique(first, return_counts=True)
        self._alike = dict(zip(self.images.tolist(), counts.tolist()))

    def __len__(self):
        return len(self.images)

    def alike(self, i):
        """How many training images show the same as the listed image i, including itself."""
        return self._alike[int(i)]

    def mark(self, i):
        """That number as a mark below an image; empty where it is the only one."""
        return f" ×{self.alike(i)}" if self.alike(i) > 1 else ""
