"""What training images and their classes are called, and which image a name means."""

import difflib
from fnmatch import fnmatchcase

from waypoint.errors import WaypointError
from waypoint.store.zarr.reader import read

SHOWN = 4  # names in a message
PATTERN = set("*?[")  # what makes a name a pattern


class ImageNames:
    """Names of training images by their index.

    Attributes:
        files: (N) texts: an image's name in its source; its index where a store of an earlier version has no names.
        named: whether the files have names. labelled: whether there are labels.

    Args:
        data: open data/train.zarr.
    """

    def __init__(self, data):
        self.named, self.labelled = "file" in data, "label" in data
        self.files = list(map(str, read(data["file"]) if self.named else range(data["image"].shape[0])))
        self._labels = read(data["label"]).tolist() if self.labelled else [""] * len(self.files)
        self._classes = data["label"].attrs.get("class_names") if self.labelled else None

    def __len__(self):
        return len(self.files)

    def label_of(self, i):
        """The label of image i, or nothing."""
        return self._labels[i]

    def class_of(self, i):
        """The class of image i: its name, or the label's number where it has none; nothing without labels."""
        return self.class_name(self._labels[i])

    def class_name(self, label):
        """What a label is called: its name, or its number where it has none."""
        named = self._classes and 0 <= label < len(self._classes)
        return str(self._classes[label] if named else label)


def find(files, wanted, where):
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
        found = [i for i, file in enumerate(files) if fits(file, wanted)]
        if len(found) > 1:
            raise WaypointError(f"{where}: {wanted!r} fits {len(found)} training images; {_told_apart(files, found)}")
        if found:
            return found
    if PATTERN & set(wanted):
        if found := [i for i, file in enumerate(files) if fnmatchcase(file, wanted)]:
            return found
        raise WaypointError(f"{where}: no training image fits the pattern {wanted!r}; {_examples(files, wanted)}")
    raise WaypointError(f"{where}: no training image is called {wanted!r}; {_examples(files, wanted)}")


def find_one(files, wanted, where):
    """The index of the one image that a name, a pattern or an index means.

    Raises:
        WaypointError: as ``find``, or several images are meant.
    """
    found = find(files, wanted, where)
    if len(found) > 1:
        raise WaypointError(f"{where}: {wanted!r} fits {len(found)} training images; {_told_apart(files, found)}")
    return found[0]


def _ends(file, wanted):
    return bool(wanted) and file.endswith(f"/{wanted}")


def _checked(files, index, where):
    if not 0 <= index < len(files):
        raise WaypointError(f"{where}: there is no training image {index}; their indices are 0 to {len(files) - 1}")
    return index


def _told_apart(files, found):
    """How to say which of several images is meant."""
    names = {files[i] for i in found}
    if len(names) < len(found):
        return f"give one of their indices: {_some(found)}"
    return f"give one of their whole names: {_some(repr(files[i]) for i in found)}"


def _examples(files, wanted):
    """The nearest names, or the first ones where none is near."""
    near = difflib.get_close_matches(wanted, files, n=SHOWN, cutoff=0.5)
    if not near:  # the end of a path may be near where the whole is not
        ends = {file.rsplit("/", 1)[-1]: file for file in reversed(files)}
        near = [ends[end] for end in difflib.get_close_matches(wanted.rsplit("/", 1)[-1], ends, n=SHOWN, cutoff=0.5)]
    nearest = f"the nearest names are {_some(map(repr, near))}"
    return nearest if near else f"the first names are {_some(map(repr, files[: SHOWN + 1]))}"


def _some(items):
    items = [str(item) for item in items]
    return ", ".join(items[:SHOWN]) + (", …" if len(items) > SHOWN else "")
