"""Which training images belong to which group."""

import numpy as np

from waypoint.errors import WaypointError
from waypoint.store.data.image_names import find

BY = {"label": "labels", "group": "column group in data.captions"}


def read_list(path, where):
    """The lines of a group's file, without those that are empty: [(line, what it names)].

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


def members(files, lists, classes, by, where="groups"):
    """The images of every group, ascending: {name: (n,)}; groups of files first, then those by class, by name.

    Args:
        files: (N) names of the images. lists: {group: path of its file}. classes: (N) texts, an image's class or group,
            "" for none; or None where the data have none. by: ``groups.by``. where: the section, for messages.

    Raises:
        WaypointError: a line that means no image or several, a name that is used twice, a group of all images, or
            nothing to group by; names the key, the file and the line.
    """
    found, places = {}, _places(files)
    for name, path in lists.items():
        key = f"{where}.files.{name}"
        chosen = {
            i
            for line, entry in read_list(path, key)
            for i in _meant(files, places, entry, f"{key}: {path} line {line}")
        }
        found[name] = np.array(sorted(chosen))
    if by is not None:
        if classes is None:
            raise WaypointError(f"{where}.by: {by}, but the training images have no {BY[by]}; use {where}.files")
        classes = np.asarray(classes, object)
        for name in sorted(set(classes.tolist()) - {""}, key=_by_number):
            if name in found:
                raise WaypointError(f"{where}.files.{name}: {where}.by makes a group of this name too; choose another")
            found[name] = np.flatnonzero(classes == name)
    if not found:
        raise WaypointError(f"{where}: there is no group; give {where}.files or {where}.by")
    for name, images in found.items():
        if len(images) == len(files):
            raise WaypointError(
                f"{where}: group {name} holds all {len(files)} training images, so there are none to compare it with"
            )
    return found


def _places(files):
    """The images by whole name, and by every end of a name after a '/': long lists are looked up, not searched for."""
    whole, ends = {}, {}
    for i, file in enumerate(files):
        whole.setdefault(file, []).append(i)
        while "/" in file:
            file = file.split("/", 1)[1]
            ends.setdefault(file, []).append(i)
    return whole, ends


def _meant(files, places, entry, where):
    """The images of an entry as ``find`` has them, which is asked about patterns, and for what is wrong."""
    whole, ends = places
    if entry.isascii() and entry.isdigit() and entry not in whole and int(entry) < len(files):
        return [int(entry)]
    meant = whole.get(entry) or ends.get(entry) or ()
    return meant if len(meant) == 1 else find(files, entry, where)


def _by_number(name):
    """Numbers in their order, before words."""
    return (0, int(name), "") if name.isascii() and name.isdigit() else (1, 0, name)


def classes_of(data, by, names):
    """An open data/train.zarr's class or group of every image as texts, or None where it has none.

    Args:
        names: its ``ImageNames``.
    """
    if by == "label":
        return [names.class_of(i) for i in range(len(names))] if names.labelled else None
    if by == "group" and "group" in data:
        from waypoint.store.zarr.reader import read

        return [str(name) for name in read(data["group"])]
    return None
