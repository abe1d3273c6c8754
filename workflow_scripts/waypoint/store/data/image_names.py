"""Names of training images and their classes, and the search for images by name."""

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import cast

import zarr

from waypoint.errors import WaypointError
from waypoint.store.types import array_of
from waypoint.store.zarr.reader import read

SHOWN = 4  # names in a message
PATTERN = set("*?[")  # characters that make a name a pattern


class ImageNames:
    """Names of training images by their index.

    Attributes:
        files: (N) an image's name in its source, or its index in stores of earlier versions, which lack names.
        named: whether the files have names. labelled: whether there are labels.

    Args:
        data: open data/train.zarr.
    """

    def __init__(self, data: zarr.Group):
        self.named, self.labelled = "file" in data, "label" in data
        names = read(array_of(data, "file")) if self.named else range(array_of(data, "image").shape[0])
        self.files = [str(name) for name in names]
        self._labels: list[int] | list[str] = [""] * len(self.files)
        self._classes: list[str] | None = None
        if self.labelled:
            label = array_of(data, "label")
            self._labels = read(label).tolist()
            self._classes = cast(list[str] | None, label.attrs.get("class_names"))

    def __len__(self) -> int:
        return len(self.files)

    def label_of(self, i: int) -> int | str:
        """Return the label of image i; an empty text without labels."""
        return self._labels[i]

    def class_of(self, i: int) -> str:
        """Return the name of image i's class, or its number if classes have no names; empty without labels."""
        return self.class_name(self._labels[i])

    def class_name(self, label: int | str) -> str:
        """Return the name of a label's class, or the label if the class has no name."""
        if self._classes and isinstance(label, int) and 0 <= label < len(self._classes):
            return str(self._classes[label])
        return str(label)


def find(files: Sequence[str], query: str | int, context: str) -> list[int]:
    """Return the indices of the images that a name, a pattern or an index refers to, ascending.

    A name is an image's whole name, or the end of it after a '/'; it refers to one image. A text of digits is an index,
    unless it is a whole name. A pattern with \\*, ? or [ ] is compared with whole names and may match several images.

    Args:
        files: (N) names. query: a text, or an index. context: begins error messages.

    Raises:
        WaypointError: no image matches, or several match a name; gives the nearest names.
    """
    if isinstance(query, int):
        return [_checked_index(files, query, context)]
    if query.isascii() and query.isdigit() and query not in files:
        return [_checked_index(files, int(query), context)]
    for fits in (str.__eq__, _is_path_end):
        images = [i for i, file in enumerate(files) if fits(file, query)]
        if len(images) > 1:
            raise WaypointError(
                f"{context}: {query!r} fits {len(images)} training images; {_disambiguation(files, images)}"
            )
        if images:
            return images
    if PATTERN & set(query):
        if images := [i for i, file in enumerate(files) if fnmatchcase(file, query)]:
            return images
        raise WaypointError(f"{context}: no training image fits the pattern {query!r}; {_examples(files, query)}")
    raise WaypointError(f"{context}: no training image is called {query!r}; {_examples(files, query)}")


def find_one(files: Sequence[str], query: str | int, context: str) -> int:
    """Return the index of the only image that a name, a pattern or an index refers to.

    Raises:
        WaypointError: as ``find``, or several images match.
    """
    images = find(files, query, context)
    if len(images) > 1:
        raise WaypointError(
            f"{context}: {query!r} fits {len(images)} training images; {_disambiguation(files, images)}"
        )
    return images[0]


def _is_path_end(file: str, query: str) -> bool:
    return bool(query) and file.endswith(f"/{query}")


def _checked_index(files: Sequence[str], index: int, context: str) -> int:
    if not 0 <= index < len(files):
        raise WaypointError(f"{context}: there is no training image {index}; their indices are 0 to {len(files) - 1}")
    return index


def _disambiguation(files: Sequence[str], images: Sequence[int]) -> str:
    """Advise how to name one of several images."""
    names = {files[i] for i in images}
    if len(names) < len(images):
        return f"give one of their indices: {_some(images)}"
    return f"give one of their whole names: {_some(repr(files[i]) for i in images)}"


def _examples(files: Sequence[str], query: str) -> str:
    """Mention the nearest names, or the first ones if none is near."""
    near = difflib.get_close_matches(query, files, n=SHOWN, cutoff=0.5)
    if not near:  # the end of a path may be near even if the whole is not
        ends = {file.rsplit("/", 1)[-1]: file for file in reversed(files)}
        near = [ends[end] for end in difflib.get_close_matches(query.rsplit("/", 1)[-1], ends, n=SHOWN, cutoff=0.5)]
    nearest = f"the nearest names are {_some(map(repr, near))}"
    return nearest if near else f"the first names are {_some(map(repr, files[: SHOWN + 1]))}"


def _some(items: Iterable[object]) -> str:
    texts = [str(item) for item in items]
    return ", ".join(texts[:SHOWN]) + (", …" if len(texts) > SHOWN else "")
