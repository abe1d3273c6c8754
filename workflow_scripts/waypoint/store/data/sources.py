"""All sources of training images by name, and which of a source's images and captions are used.

A source is a file of this folder that assigns ``SOURCE``, see ``source.py``; it is imported when it is asked for.
"""

import importlib
import pkgutil
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import waypoint.store.data as folder
from waypoint.errors import WaypointError
from waypoint.science.random_streams import numpy_stream

_ASSIGNED = re.compile(r"^SOURCE = ", re.MULTILINE)


class _Sources(Mapping):
    """{name: ``Source``}. Names are found without importing anything."""

    def __getitem__(self, name):
        if name not in list(self):
            raise KeyError(name)
        return importlib.import_module(f"{folder.__name__}.{name}").SOURCE

    def __iter__(self):
        for place, name, is_package in pkgutil.iter_modules(folder.__path__):
            if not is_package and _ASSIGNED.search(Path(place.path, f"{name}.py").read_text(encoding="utf-8")):
                yield name

    def __len__(self):
        return sum(1 for _ in self)


SOURCES = _Sources()


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
