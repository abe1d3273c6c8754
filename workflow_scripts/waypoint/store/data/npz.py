"""Images in an npz file."""

from waypoint.store.data.arrays import npz
from waypoint.store.data.source import Source

SOURCE = Source(npz, needs={"path": "it"})
