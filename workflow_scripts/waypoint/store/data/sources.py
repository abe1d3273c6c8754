"""Data sources behind one interface: an image source has ``n``, ``labels``, ``captions``, ``names`` and ``read(i)``.

``names[i]`` is what image i is called in its source, ``class_names`` what labels 0, 1, … are called, or None.
``read(i)`` gives float32 (C, H, W) in [-1, 1]; ``captions[i]`` is a text, or a list of texts to draw from.
Sources: digits, imagefolder, cifar10, npz, emoji, coco.
"""

import numpy as np

from waypoint.errors import WaypointError
from waypoint.science.random_streams import numpy_stream
from waypoint.store.data.arrays import digits, npz
from waypoint.store.data.cifar10 import cifar10
from waypoint.store.data.coco import coco
from waypoint.store.data.emoji import emoji
from waypoint.store.data.imagefolder import imagefolder

SOURCES = {
    "digits": digits,
    "imagefolder": imagefolder,
    "cifar10": cifar10,
    "npz": npz,
    "emoji": emoji,
    "coco": coco,
}


def chosen(section, n, seed):
    """Positions of the images to use: all, a seeded sample of ``data.subset``, or those it lists; ascending.

    Args:
        n: how many there are, after near-duplicates were left out.

    Raises:
        WaypointError: more images asked for than there are, or an index out of range.
    """
    subset = section["subset"]
    there = (
        f"the source has {n}" if section.get("near_duplicates") is None else f"without near-duplicates there are {n}"
    )
    if subset is None:
        return np.arange(n)
    if isinstance(subset, int):
        if subset > n:
            raise WaypointError(f"data.subset: {subset} images asked for, {there}")
        return np.sort(numpy_stream(seed, "data subset").permutation(n)[:subset])
    if max(subset) >= n:
        raise WaypointError(f"data.subset: index {max(subset)} asked for, {there} images")
    return np.array(sorted(subset))


def drawn_caption(texts, seed, index):
    """The caption of source image ``index``: the text it has, or one of several, whichever others are used."""
    return texts if isinstance(texts, str) else texts[numpy_stream(seed, "caption", index).integers(len(texts))]
