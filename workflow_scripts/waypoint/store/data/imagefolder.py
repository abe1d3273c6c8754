"""A folder of image files, with a table of captions or labels, or with classes as subfolders."""

import csv
import os
import posixpath
import warnings
from pathlib import Path
from typing import NamedTuple

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.data.captions import empty, one_or_several, usable
from waypoint.store.data.faults import refuse, some
from waypoint.store.data.labels import labels_of
from waypoint.store.data.listing import (
    TEXTS,
    conversion,
    readable,
    require_utf8,
    suffix_of,
    told_by_suffix,
    walk,
)
from waypoint.store.data.paths import outside
from waypoint.store.data.source import Source

SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"}
SIDE = (".txt", ".caption")  # suffixes of captions that lie beside images
METADATA = ("metadata.csv", "metadata.jsonl")


class Listed(NamedTuple):
    """What a folder and its table say, before any image is opened.

    Attributes:
        files: (n) names. labels: (n,) or None. class_names: by label, or None. captions: (n) or None.
        beside: the table, where there is one.
    """

    files: list
    labels: object = None
    class_names: list | None = None
    captions: list | None = None
    beside: tuple = ()


def imagefolder(section):
    """Image files under a folder, in path order; the first-level folder names are the classes, if there are any.

    ``data.captions`` names a CSV with columns file (relative to the folder) and caption and/or label; then the
    files that it lists, in the order of their first rows, are the images. A file listed several times has
    several captions.

    Raises:
        WaypointError: no images, or what is wrong with the CSV, by line.
    """
    from waypoint.store.data.image_files import ImageFiles  # planning opens no image

    found = listed(section)
    root = section["path"]
    paths = [os.path.join(root, name) for name in found.files]
    options = {"labels": found.labels, "class_names": found.class_names, "captions": found.captions}
    return ImageFiles(section, found.files, paths, found.beside, **options)


def listed(section):
    """The images that a folder has, as ``Listed``; opens none.

    Raises:
        WaypointError: as ``imagefolder``.
    """
    root = Path(section["path"])
    return _tabled(root, Path(section["captions"])) if section["captions"] else _found(root)


def _found(root):
    """The images of a folder without a table."""
    names, suffixes = walk(root), readable()
    files = [name for name in names if suffix_of(name) in suffixes]
    others = [name for name in names if suffix_of(name) not in suffixes]
    strange = [name for name in others if suffix_of(name) not in TEXTS]
    if not files:
        there = f"; it holds {told_by_suffix(others)}" if others else ""
        how = f".{conversion(strange)}" if strange else ""
        raise WaypointError(f"data.path: no images under {root}{there}{how}")
    require_utf8(files, f"data.path: {root}")
    if strange:
        warnings.warn(
            f"data.path: {len(strange):,} files under {root} are left out, for they are no images that Pillow reads: "
            f"{told_by_suffix(strange)}.{conversion(strange)}",
            WaypointWarning,
            stacklevel=2,
        )
    _warn_of_captions(root, files, others)
    tops = [name.split("/", 1)[0] for name in files if "/" in name]
    if len(tops) < len(files):
        return Listed(files)
    labels, class_names = labels_of(tops)
    if {name.lower() for name in set(tops)} <= SPLITS:
        warnings.warn(
            f"data.path: the classes of the images under {root} are {', '.join(sorted(set(tops)))}, the first-level "
            "folders, which look like parts of a data set; data.path may name one of them",
            WaypointWarning,
            stacklevel=2,
        )
    return Listed(files, labels, class_names)


def _warn_of_captions(root, files, others):
    """Say that there are captions beside the images: without ``data.captions`` none are read."""
    stems = {os.path.splitext(name)[0] for name in files}
    beside = [name for name in others if suffix_of(name) in SIDE and os.path.splitext(name)[0] in stems]
    tables = [name for name in others if posixpath.basename(name) in METADATA]
    if beside or tables:
        count = f"{len(beside):,} captions beside images" if beside else "captions"
        warnings.warn(
            f"data.path: there are {count} under {root} ({some((beside + tables)[:3])}) that are not read; "
            "data.captions names a CSV with the columns file and caption",
            WaypointWarning,
            stacklevel=2,
        )


def _tabled(root, table):
    """The images that a table lists."""
    rows, faults, images = _table_rows(table), [], {}
    has_captions = "caption" in rows[0][1]
    for line, row in rows:
        if fault := _fault(root, row):
            faults.append(f"line {line} {fault}" if fault.startswith("has ") else f"line {line}: {fault}")
            continue
        name = posixpath.normpath(row["file"])
        first_line, label, texts = images.setdefault(name, (line, row.get("label"), []))
        if line != first_line and not has_captions:
            faults.append(f"line {line}: {row['file']} is listed twice")
        elif row.get("label") != label:
            faults.append(f"line {line}: {row['file']} has label {row['label']}, but {label} in line {first_line}")
        texts.append(row.get("caption"))
    if has_captions:
        faults += [f"line {line} has no caption" for line, _, texts in images.values() if not usable(texts)]
    suffixes = readable()
    unread = [name for name in images if suffix_of(name) not in suffixes]
    faults += [f"line {images[name][0]}: {name} is no image that Pillow reads" for name in unread]
    if unread and len(faults) == len(unread):
        faults[-1] += f".{conversion(unread)}"
    refuse(f"data.captions: {table}", faults)
    labels = class_names = captions = None
    _, given, texts = zip(*images.values())
    if "label" in rows[0][1]:
        labels, class_names = labels_of(given)
    if has_captions:
        captions = [one_or_several(usable(several)) for several in texts]
    return Listed(list(images), labels, class_names, captions, (str(table),))


def _fault(root, row):
    """What is wrong with a row by itself, or None."""
    if None in row:
        return "has more cells than the header; a cell with a comma in it stands in double quotes"
    for column in ("file", "label"):
        if column in row and empty(row[column]):
            return f"has no {column}"
    if "caption" in row and row["caption"] is None:
        return "has no caption"
    if outside(row["file"]):
        return f"{row['file']} leads out of the folder data.path"
    if not os.path.isfile(os.path.join(root, row["file"])):
        return f"no file {os.path.join(root, row['file'])}"
    return None


def _table_rows(table):
    """(line, row) of a captions table.

    Raises:
        WaypointError: it cannot be read, or lacks a column.
    """
    try:
        with open(table, newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WaypointError(f"data.captions: cannot read {table} ({error})") from error
    known = reader.fieldnames or []
    if not rows or "file" not in known or not {"caption", "label"} & set(known):
        there = f"; it has {', '.join(known)}" if known else ""
        raise WaypointError(f"data.captions: {table} needs the columns file and caption and/or label{there}")
    return rows


SOURCE = Source(imagefolder, keys=("path", "captions"), needs={"path": "it"}, folder=True, check=listed)
