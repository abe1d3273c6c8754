"""The members of groups of training images."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from waypoint.errors import WaypointError
from waypoint.store.data.image_names import ImageNames, NameIndex
from waypoint.store.types import StrPath, array_of

if TYPE_CHECKING:
    from zarr import Group

BY = {"label": "labels", "group": "column group in data.captions"}


def read_list(path: StrPath, key: str) -> list[tuple[int, str]]:
    """Read the non-empty lines of a group's file, each with its number.

    Raises:
        WaypointError: it cannot be read, or is empty; names the key.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [(number, line.strip()) for number, line in enumerate(file, 1) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise WaypointError(f"{key}: cannot read {path} ({error})") from error
    if not lines:
        raise WaypointError(f"{key}: {path} names no training image")
    return lines


def members(
    files: Sequence[str],
    lists: Mapping[str, StrPath],
    classes: ArrayLike | None,
    by: str | None,
    section: str = "groups",
) -> dict[str, NDArray[np.int64]]:
    """Return the images (n,) of every group, ascending, by name; groups from files come first, then those by class.

    Args:
        files: (N) names of the images. lists: the file of every group, by name. classes: (N) class or group of each
            image, "" for none; None if the data have none. by: ``groups.by``. section: for messages.

    Raises:
        WaypointError: a line matches no image or several, a name is used twice, a group contains all images, or there
            is nothing to group by; names the key, the file and the line.
    """
    groups: dict[str, NDArray[np.int64]] = {}
    name_index = NameIndex(files)
    for name, path in lists.items():
        key = f"{section}.files.{name}"
        indices = {
            i for line, entry in read_list(path, key) for i in name_index.find(entry, f"{key}: {path} line {line}")
        }
        groups[name] = np.array(sorted(indices))
    if by is not None:
        if classes is None:
            raise WaypointError(f"{section}.by: {by}, but the training images have no {BY[by]}; use {section}.files")
        of_image = np.asarray(classes, object)
        names: set[str] = set(of_image.tolist())
        for name in sorted(names - {""}, key=_numbers_first):
            if name in groups:
                raise WaypointError(
                    f"{section}.files.{name}: {section}.by makes a group of this name too; choose another"
                )
            groups[name] = np.flatnonzero(of_image == name)
    if not groups:
        raise WaypointError(f"{section}: there is no group; give {section}.files or {section}.by")
    for name, images in groups.items():
        if len(images) == len(files):
            raise WaypointError(
                f"{section}: group {name} holds all {len(files)} training images, so there are none to compare it with"
            )
    return groups


def _numbers_first(name: str) -> tuple[int, int, str]:
    """Sorting key: numbers first, by size, then words."""
    return (0, int(name), "") if name.isascii() and name.isdigit() else (1, 0, name)


def classes_of(data: "Group", by: str | None, names: ImageNames) -> list[str] | None:
    """Return the class or group of every image in an open data/train.zarr as a text; None if it has none.

    Args:
        names: its ``ImageNames``.
    """
    if by == "label":
        return [names.class_of(i) for i in range(len(names))] if names.labelled else None
    if by == "group" and "group" in data:
        from waypoint.store.zarr.reader import read

        return [str(name) for name in read(array_of(data, "group"))]
    return None
