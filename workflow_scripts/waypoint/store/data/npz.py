"""Images in an npz file."""

from waypoint.store.data.arrays import check_npz, npz
from waypoint.store.data.source import Source

SOURCE = Source(
    npz,
    needs={"path": "it"},
    reads=(".npz",),
    check=check_npz,
    captioned=check_npz,
    caption_help="the npz needs the key caption",
)
