"""The names of training images and of their classes, and the search for an image by its name."""

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import cast

import zarr

from waypoint.errors import WaypointError
from waypoint.store.types import array_of
from waypoint.store.zarr.reader import read

SHOWN = 4  # names in a message
PATTERN = set("*?[")  # what makes a name a pattern


class ImageNames:
    """Names of training images by their index.

    Attributes:
        files: (N) an image's name in its source, or its index in stores of earlier versions, which have no names.
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
        """The label of image i; an empty text without labels."""
        return self._labels[i]

    def class_of(self, i: int) -> str:
        """The name of image i's class, or its number where classes have no names; empty without labels."""
        return self.class_name(self._labels[i])

    def class_name(self, label: int | str) -> str:
        """The name of a label's class, or the label where the class has no name."""
        if self._classes and isinstance(label, int) and 0 <= label < len(self._classes):
            return str(self._classes[label])
        return str(label)


def find(files: Sequence[str], wanted: str | int, where: str) -> list[int]:
    """Indices of the images that a name, a pattern or an index means, ascending.

    A name is an image's whole name, or the end of it after a '/'; it means one image. A text of digits is an index,
    unless it is a whole name. A pattern with \\*, ? or [ ] is compared with whole names and may mean several images.

    Args:
        files: (N) names. wanted: a text, or an index. where: begins error messages.

    Raises:
        WaypointError: no image is meant, or a name means several; gives the nearest names.
    """
    if isinstance(wanted, int):
        return [_checked(files, wanted, where)]
    if wanted.isascii() and wanted.isdigit() and wanted not in files:
        return [_checked(files, int(wanted), where)]
    for fits in (str.__eq__, _ends):
        images = [i for i, file in enumerate(files) if fits(file, wanted)]
        if len(images) > 1:
            raise WaypointError(f"{where}: {wanted!r} fits {len(images)} training images; {_told_apart(files, images)}")
        if images:
            return images
    if PATTERN & set(wanted):
        if images := [i for i, file in enumerate(files) if fnmatchcase(file, wanted)]:
            return images
        raise WaypointError(f"{where}: no training image fits the pattern {wanted!r}; {_examples(files, wanted)}")
    raise WaypointError(f"{where}: no training image is called {wanted!r}; {_examples(files, wanted)}")


def find_one(files: Sequence[str], wanted: str | int, where: str) -> int:
    """The index of the one image that a name, a pattern or an index means.

    Raises:
        WaypointError: as ``find``, or several images are meant.
    """
    images = find(files, wanted, where)
    if len(images) > 1:
        raise WaypointError(f"{where}: {wanted!r} fits {len(images)} training images; {_told_apart(files, images)}")
    return images[0]


def _ends(file: str, wanted: str) -> bool:
    return bool(wanted) and file.endswith(f"/{wanted}")


def _checked(files: Sequence[str], index: int, where: str) -> int:
    if not 0 <= index < len(files):
        raise WaypointError(f"{where}: there is no training image {index}; their indices are 0 to {len(files) - 1}")
    return index


def _told_apart(files: Sequence[str], images: Sequence[int]) -> str:
    """Advice on how to name one of several images."""
    names = {files[i] for i in images}
    if len(names) < len(images):
        return f"give one of their indices: {_some(images)}"
    return f"give one of their whole names: {_some(repr(files[i]) for i in images)}"


def _examples(files: Sequence[str], wanted: str) -> str:
    """The nearest names, or the first ones where none is near."""
    near = difflib.get_close_matches(wanted, files, n=SHOWN, cutoff=0.5)
    if not near:  # the end of a path may be near where the whole is not
        ends = {file.rsplit("/", 1)[-1]: file for file in reversed(files)}
        near = [ends[end] for end in difflib.get_close_matches(wanted.rsplit("/", 1)[-1], ends, n=SHOWN, cutoff=0.5)]
    nearest = f"the nearest names are {_some(map(repr, near))}"
    return nearest if near else f"the first names are {_some(map(repr, files[: SHOWN + 1]))}"


def _some(items: Iterable[object]) -> str:
    texts = [str(item) for item in items]
    return ", ".join(texts[:SHOWN]) + (", …" if len(texts) > SHOWN else "")
