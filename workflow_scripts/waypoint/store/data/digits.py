"""scikit-learn's handwritten digits."""

from waypoint.store.data.arrays import digits
from waypoint.store.data.source import Source

SOURCE = Source(digits, keys=())
