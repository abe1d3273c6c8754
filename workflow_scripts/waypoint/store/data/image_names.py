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
MOST_DIGITS = 19  # of a text that may be an index
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


class NameIndex:
    """The images by name, for many look-ups.

    Args:
        files: (N) names of the images.
    """

    def __init__(self, files: Sequence[str]):
        self.files = files
        self._whole: dict[str, list[int]] = {}
        self._ends: dict[str, list[int]] = {}  # by every end of a name after a '/'
        self._stems: dict[str, list[int]] = {}  # by digits before a suffix
        for i, file in enumerate(files):
            self._whole.setdefault(file, []).append(i)
            end = file
            while "/" in end:
                end = end.split("/", 1)[1]
                self._ends.setdefault(end, []).append(i)
            stem, dot, _ = end.rpartition(".")
            if dot and _is_number(stem):
                self._stems.setdefault(stem, []).append(i)

    def find(self, query: str | int, context: str) -> list[int]:
        """Return the indices of the images that a name, a pattern or an index refers to, ascending; see ``find``.

        Raises:
            WaypointError: as ``find``.
        """
        files = self.files
        if isinstance(query, int):
            return [_checked_index(files, query, context)]
        if _is_number(query) and query not in self._whole and (query == "0" or query[0] != "0"):
            return [self._index_in_digits(query, context)]
        for images in (self._whole.get(query), self._ends.get(query)):
            if images and len(images) > 1:
                raise WaypointError(
                    f"{context}: {query!r} fits {len(images)} training images; {_disambiguation(files, images)}"
                )
            if images:
                return list(images)
        if PATTERN & set(query):
            if images := [i for i, file in enumerate(files) if fnmatchcase(file, query)]:
                return images
            raise WaypointError(f"{context}: no training image fits the pattern {query!r}; {_examples(files, query)}")
        stems = [files[i] for i in self._stems.get(query, ())]
        advice = f"a name needs its suffix: {_some(map(repr, stems))}" if stems else _examples(files, query)
        raise WaypointError(f"{context}: no training image is called {query!r}; {advice}")

    def _index_in_digits(self, query: str, context: str) -> int:
        """Return the index that a text of digits names, if it is not the name of another image without its suffix."""
        index = int(query) if len(query) < MOST_DIGITS else len(self.files)
        named = self._stems.get(query, [])
        if not named or named == [index]:
            return _checked_index(self.files, int(query) if len(query) < MOST_DIGITS else query, context)
        by_index = f"the image of index {query}, {self.files[index]!r}, or " if index < len(self.files) else ""
        raise WaypointError(
            f"{context}: {query!r} may be {by_index}{_some(repr(self.files[i]) for i in named)}; give the whole name"
        )


def find(files: Sequence[str], query: str | int, context: str) -> list[int]:
    """Return the indices of the images that a name, a pattern or an index refers to, ascending.

    A name is an image's whole name, or the end of it after a '/'; it refers to one image. A text of digits is an index,
    unless it is a whole name or begins with a needless 0; it is refused if another image is called so before its
    suffix. A pattern with \\*, ? or [ ] is compared with whole names and may match several images.

    Args:
        files: (N) names. query: a text, or an index. context: begins error messages.

    Raises:
        WaypointError: no image matches, or several match a name; gives the nearest names.
    """
    return NameIndex(files).find(query, context)


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


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _checked_index(files: Sequence[str], index: int | str, context: str) -> int:
    if isinstance(index, str) or not 0 <= index < len(files):
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
