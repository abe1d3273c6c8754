"""scikit-learn's handwritten digits."""

# scikit-learn has no type hints
# pyright: reportMissingTypeStubs=false

from collections.abc import Mapping
from typing import cast

import numpy as np

from waypoint.store.data.arrays import ArrayImages
from waypoint.store.data.source import DataSection, Source
from waypoint.store.types import Values


def digits(section: DataSection) -> ArrayImages:
    """Return scikit-learn's 1,797 handwritten 8 × 8 digits, with grey levels 0..16."""
    from sklearn.datasets import load_digits  # imported lazily: it takes 1.3 CPU seconds

    bunch = cast(Mapping[str, Values], load_digits())
    images = (bunch["images"][:, None] / 8 - 1).astype(np.float32)
    labels = bunch["target"].astype(np.int64)
    files = [f"digits/{i}" for i in range(len(images))]
    return ArrayImages(section, images, files, labels=labels, class_names=[str(d) for d in range(10)])


SOURCE = Source(digits, keys=(), images=1797)
