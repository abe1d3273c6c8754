"""The members of groups of training images."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from waypoint.errors import WaypointError
from waypoint.store.data.image_names import ImageNames, find
from waypoint.store.types import StrPath, array_of

if TYPE_CHECKING:
    from zarr import Group

BY = {"label": "labels", "group": "column group in data.captions"}


def read_list(path: StrPath, where: str) -> list[tuple[int, str]]:
    """The lines of a group's file that are not empty, each with its number.

    Raises:
        WaypointError: it cannot be read, or names nothing; names the key.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [(number, line.strip()) for number, line in enumerate(file, 1) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise WaypointError(f"{where}: cannot read {path} ({error})") from error
    if not lines:
        raise WaypointError(f"{where}: {path} names no training image")
    return lines


def members(
    files: Sequence[str],
    lists: Mapping[str, StrPath],
    classes: ArrayLike | None,
    by: str | None,
    where: str = "groups",
) -> dict[str, NDArray[np.int64]]:
    """The images (n,) of every group by its name, ascending; groups of files come first, then those by class.

    Args:
        files: (N) names of the images. lists: the file of every group, by name. classes: (N) texts, an image's class or
            group, "" for none; or None where the data have none. by: ``groups.by``. where: the section, for messages.

    Raises:
        WaypointError: a line that means no image or several, a name that is used twice, a group of all images, or
            nothing to group by; names the key, the file and the line.
    """
    groups: dict[str, NDArray[np.int64]] = {}
    places = _places(files)
    for name, path in lists.items():
        key = f"{where}.files.{name}"
        chosen = {
            i
            for line, entry in read_list(path, key)
            for i in _images_of(files, places, entry, f"{key}: {path} line {line}")
        }
        groups[name] = np.array(sorted(chosen))
    if by is not None:
        if classes is None:
            raise WaypointError(f"{where}.by: {by}, but the training images have no {BY[by]}; use {where}.files")
        of_image = np.asarray(classes, object)
        names: set[str] = set(of_image.tolist())
        for name in sorted(names - {""}, key=_by_number):
            if name in groups:
                raise WaypointError(f"{where}.files.{name}: {where}.by makes a group of this name too; choose another")
            groups[name] = np.flatnonzero(of_image == name)
    if not groups:
        raise WaypointError(f"{where}: there is no group; give {where}.files or {where}.by")
    for name, images in groups.items():
        if len(images) == len(files):
            raise WaypointError(
                f"{where}: group {name} holds all {len(files)} training images, so there are none to compare it with"
            )
    return groups


def _places(files: Sequence[str]) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """The images by whole name, and by every end of a name after a '/': long lists are looked up, not searched for."""
    whole: dict[str, list[int]] = {}
    ends: dict[str, list[int]] = {}
    for i, file in enumerate(files):
        whole.setdefault(file, []).append(i)
        while "/" in file:
            file = file.split("/", 1)[1]
            ends.setdefault(file, []).append(i)
    return whole, ends


def _images_of(
    files: Sequence[str], places: tuple[dict[str, list[int]], dict[str, list[int]]], entry: str, where: str
) -> list[int]:
    """The images of an entry as ``find`` has them, which is asked about patterns, and for what is wrong."""
    whole, ends = places
    if entry.isascii() and entry.isdigit() and entry not in whole and int(entry) < len(files):
        return [int(entry)]
    images = whole.get(entry) or ends.get(entry) or []
    return images if len(images) == 1 else find(files, entry, where)


def _by_number(name: str) -> tuple[int, int, str]:
    """A key that sorts numbers by their size, before words."""
    return (0, int(name), "") if name.isascii() and name.isdigit() else (1, 0, name)


def classes_of(data: "Group", by: str | None, names: ImageNames) -> list[str] | None:
    """The class or group of every image in an open data/train.zarr as a text, or None where it has none.

    Args:
        names: its ``ImageNames``.
    """
    if by == "label":
        return [names.class_of(i) for i in range(len(names))] if names.labelled else None
    if by == "group" and "group" in data:
        from waypoint.store.zarr.reader import read

        return [str(name) for name in read(array_of(data, "group"))]
    return None
