"""A folder of image files, with a table of captions or labels, or with classes as subfolders."""

import csv
from pathlib import Path

import numpy as np

from waypoint.errors import WaypointError
from waypoint.store.data.image_files import ImageFiles
from waypoint.store.data.paths import require_inside

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def imagefolder(section):
    """Image files under a folder, in path order; the first-level folder names are the classes, if there are any.

    ``data.captions`` names a CSV with columns file (relative to the folder) and caption and/or label; then the
    files that it lists, in the order of their first rows, are the images. A file listed several times has
    several captions. A column group says whose an image is; it is empty where nobody's.

    Raises:
        WaypointError: no images, or what is wrong with the CSV, by line.
    """
    root = Path(section["path"])
    if section["captions"]:
        files, labels, captions, names, groups = _listed(root, Path(section["captions"]))
        return ImageFiles(section["size"], files, labels, captions, root=root, class_names=names, groups=groups)
    files, labels = sorted(f for f in root.rglob("*") if f.suffix.lower() in SUFFIXES), None
    if not files:
        raise WaypointError(f"data.path: no images under {root}")
    classes = sorted({f.relative_to(root).parts[0] for f in files if len(f.relative_to(root).parts) > 1})
    if classes and all(len(f.relative_to(root).parts) > 1 for f in files):
        labels = np.array([classes.index(f.relative_to(root).parts[0]) for f in files], np.int64)
    return ImageFiles(section["size"], files, labels, root=root, class_names=None if labels is None else classes)


def _listed(root, table):
    """Files, labels, captions, class names and groups of a captions table; None where it has no such column.

    Labels that are numbers have no names.
    """
    images, groups = {}, {}
    for line, row in _table_rows(root, table):
        first_line, label, texts = images.setdefault(root / row["file"], (line, row.get("label"), []))
        if line != first_line and "caption" not in row:
            raise WaypointError(f"data.captions: {table} line {line}: {row['file']} is listed twice")
        if row.get("label") != label:
            raise WaypointError(
                f"data.captions: {table} line {line}: {row['file']} has label {row['label']}, "
                f"but {label} in line {first_line}"
            )
        texts.append(row.get("caption"))
        if groups.setdefault(root / row["file"], row.get("group")) != row.get("group"):
            raise WaypointError(
                f"data.captions: {table} line {line}: {row['file']} has group {row['group']!r}, "
                f"but {groups[root / row['file']]!r} in line {first_line}"
            )
    _, given, texts = zip(*images.values())
    captions = [several if len(several) > 1 else several[0] for several in texts]
    names = sorted(set(given) - {None})
    numeric = all(name.isdigit() for name in names)
    labels = np.array([int(name) if numeric else names.index(name) for name in given], np.int64) if names else None
    class_names = names if names and not numeric else None
    grouped = [(group or "").strip() for group in groups.values()] if set(groups.values()) != {None} else None
    return list(images), labels, captions if captions[0] is not None else None, class_names, grouped


def _table_rows(root, table):
    """(line, row) of a captions table, every cell filled and every file there."""
    try:
        with open(table, newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WaypointError(f"data.captions: cannot read {table} ({error})") from error
    known = rows[0][1].keys() if rows else set()
    if "file" not in known or not {"caption", "label"} & known:
        raise WaypointError(f"data.captions: {table} needs the columns file and caption and/or label")
    for line, row in rows:
        for column in {"file", "caption", "label"} & known:
            if not row[column]:
                raise WaypointError(f"data.captions: {table} line {line} has no {column}")
        require_inside(row["file"], f"data.captions: {table} line {line}")
        if not (root / row["file"]).is_file():
            raise WaypointError(f"data.captions: {table} line {line}: no file {root / row['file']}")
    return rows
