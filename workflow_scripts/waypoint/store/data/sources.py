"""All sources of training images by name, and the selection of images and captions from them.

A source is a file in this folder that assigns ``SOURCE``, see ``source.py``; it is imported on first use.
"""

import functools
import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import waypoint.store.data as folder
from waypoint.errors import WaypointError
from waypoint.science.random_streams import numpy_stream
from waypoint.store.data.captions import Caption
from waypoint.store.data.source import DataSection, Source

_ASSIGNED = re.compile(r"^SOURCE = ", re.MULTILINE)


@functools.cache
def _is_source(file: Path) -> bool:
    """Whether a file assigns ``SOURCE``; it is read once per process."""
    return _ASSIGNED.search(file.read_text(encoding="utf-8")) is not None


class _Sources(Mapping[str, Source]):
    """Sources by name; listing the names imports nothing."""

    def __getitem__(self, name: str) -> Source:
        if name not in list(self):
            raise KeyError(name)
        return importlib.import_module(f"{folder.__name__}.{name}").SOURCE

    def __iter__(self) -> Iterator[str]:
        for directory in folder.__path__:
            for file in sorted(Path(directory).glob("*.py")):
                if _is_source(file):
                    yield file.stem

    def __len__(self) -> int:
        return sum(1 for _ in self)


SOURCES = _Sources()


def chosen(section: DataSection, n: int, seed: int) -> NDArray[np.int64]:
    """Select the images to use: all, a seeded sample of ``data.subset`` images, or a listed subset.

    Args:
        n: number of images, without near-duplicates.

    Returns:
        indices, ascending.

    Raises:
        WaypointError: there are fewer images than ``data.subset``, or an index is out of range.
    """
    subset = section["subset"]
    require_subset(
        section,
        n,
        f"the source has {n}" if section.get("near_duplicates") is None else f"without near-duplicates there are {n}",
    )
    if subset is None:
        return np.arange(n)
    if isinstance(subset, int):
        return np.sort(numpy_stream(seed, "data subset").permutation(n)[:subset])
    return np.array(sorted(subset))


def require_subset(section: DataSection, n: int, available: str) -> None:
    """Refuse ``data.subset`` if there are fewer images.

    Args:
        n: number of images. available: a clause that says how many there are.

    Raises:
        WaypointError: there are fewer images than ``data.subset``, or an index is out of range.
    """
    subset = section["subset"]
    if isinstance(subset, int) and subset > n:
        raise WaypointError(f"data.subset: {subset} images asked for, {available}")
    if isinstance(subset, Sequence) and max(subset) >= n:
        raise WaypointError(f"data.subset: index {max(subset)} asked for, {available} images")


def drawn_caption(texts: Caption, seed: int, index: int) -> str:
    """Return the caption of source image ``index``: its text, or one of several drawn independently of other images."""
    return texts if isinstance(texts, str) else texts[int(numpy_stream(seed, "caption", index).integers(len(texts)))]
