"""What can be known of raw data before the first job, each source's rule under its name; no image is opened."""

from waypoint.store.data.arrays import check_npz
from waypoint.store.data.cifar10 import check_cifar10
from waypoint.store.data.coco import check_coco
from waypoint.store.data.emoji import require_emoji
from waypoint.store.data.imagefolder import listed

CHECKS = {
    "imagefolder": listed,
    "npz": check_npz,
    "cifar10": check_cifar10,
    "coco": check_coco,
    "emoji": require_emoji,
}


def check_raw(section):
    """Refuse raw data with mistakes, all of a kind at once; warn of what is left out.

    Args:
        section: the config section ``data``.

    Raises:
        WaypointError: what is wrong.
    """
    if section["source"] in CHECKS:
        CHECKS[section["source"]](section)


def has_captions(section):
    """Whether the images of a source have captions."""
    source = section["source"]
    if source == "imagefolder":
        return bool(section["captions"]) and listed(section).captions is not None
    return check_npz(section) if source == "npz" else source in ("coco", "emoji")
