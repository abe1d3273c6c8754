"""The images that tables list, with their labels and captions; none of them is opened here."""

import posixpath
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waypoint.errors import WaypointError
from waypoint.store.data.captions import Caption, empty, one_or_several, usable
from waypoint.store.data.containers import Container
from waypoint.store.data.faults import refuse, some
from waypoint.store.data.labels import labels_of
from waypoint.store.data.listing import conversion, readable, suffix_of
from waypoint.store.data.paths import outside
from waypoint.store.data.tables import Row


class Listed(NamedTuple):
    """The images of a folder with their labels and captions.

    Attributes:
        files: (n) names. labels: (n,) or None. class_names: by label, or None. captions: (n) or None.
        groups: (n) names of the images' groups, "" for none; or None.
        beside: paths of the tables and side files that were read.
    """

    files: list[str]
    labels: NDArray[np.int64] | None = None
    class_names: list[str] | None = None
    captions: Sequence[Caption] | None = None
    groups: list[str] | None = None
    beside: tuple[str, ...] = ()


class Entry(NamedTuple):
    """An image in a table: its first line, its label or None, and its captions."""

    line: int
    label: str | None
    captions: list[str | None]


def tabled(container: Container, tables: Sequence[tuple[str, str, Sequence[Row]]]) -> Listed:
    """The images that tables list, in the order of their first rows.

    Args:
        container: holds the images.
        tables: of each table the beginning of messages, the folder in the container that names of files are relative
            to, and the rows as of ``tables.rows_of``.

    Returns:
        ``Listed``, without ``beside``.

    Raises:
        WaypointError: rows have mistakes; lists them by line.
    """
    images: dict[str, Entry] = {}
    groups: dict[str, str | None] = {}
    suffixes = readable()
    columns = [set(rows[0].cells) for _, _, rows in tables]
    has = {role: any(role in known for known in columns) for role in ("caption", "label")}
    for (where, folder, rows), known in zip(tables, columns):
        lacks = [role for role, there in has.items() if there and role not in known]
        faults = [f"it has no {role}s, which other tables have" for role in lacks]
        refuse(where, faults or _entered(container, folder, rows, images, groups, has["caption"], suffixes))
    entries = list(images.values())
    labels, class_names = labels_of([entry.label or "" for entry in entries]) if has["label"] else (None, None)
    captions = [one_or_several(usable(entry.captions)) for entry in entries] if has["caption"] else None
    grouped = [(groups[name] or "").strip() for name in images] if set(groups.values()) != {None} else None
    return Listed(list(images), labels, class_names, captions, grouped)


def _entered(
    container: Container,
    folder: str,
    rows: Sequence[Row],
    images: dict[str, Entry],
    groups: dict[str, str | None],
    has_captions: bool,
    suffixes: set[str],
) -> list[str]:
    """Enter the rows of one table into the images and groups by name; returns the faults of the rows."""
    faults: list[str] = []
    entered: dict[str, Entry] = {}
    for row in rows:
        line, cells, file = row.line, row.cells, row.cells["file"] or ""
        if fault := _fault(container, folder, row):
            faults.append(f"line {line} {fault}" if fault.startswith("has ") else f"line {line}: {fault}")
            continue
        name = posixpath.normpath(posixpath.join(folder, file))
        if name in images and name not in entered:
            faults.append(f"line {line}: {file} is listed in another table too")
            continue
        first_line, label, texts = entered[name] = images.setdefault(name, Entry(line, cells.get("label"), []))
        if line != first_line and not has_captions:
            faults.append(f"line {line}: {file} is listed twice")
        elif cells.get("label") != label:
            faults.append(f"line {line}: {file} has label {cells['label']}, but {label} in line {first_line}")
        elif groups.setdefault(name, cells.get("group")) != cells.get("group"):
            faults.append(
                f"line {line}: {file} has group {cells['group']!r}, but {groups[name]!r} in line {first_line}"
            )
        texts.append(cells.get("caption"))
    if has_captions:
        faults += [f"line {line} has no caption" for line, _, texts in entered.values() if not usable(texts)]
    unread = [name for name in entered if suffix_of(name) not in suffixes]
    faults += [f"line {entered[name].line}: {name} is no image that Pillow reads" for name in unread]
    if unread and len(faults) == len(unread):
        faults[-1] += f".{conversion(unread)}"
    return faults


def _fault(container: Container, folder: str, row: Row) -> str | None:
    """The fault of a single row, or None."""
    cells, file = row.cells, row.cells["file"]
    if row.surplus:
        return "has more cells than the header; a cell with a comma in it stands in double quotes"
    for column in ("file", "label"):
        if column in cells and empty(cells[column]):
            return f"has no {column}"
    if "caption" in cells and cells["caption"] is None:
        return "has no caption"
    if file is None or outside(file):
        return f"{file} leads out of the folder data.path"
    name = posixpath.normpath(posixpath.join(folder, file))
    return None if container.has(name) else f"no file {container.where(name)}"


def require_all(listed: Listed, files: Sequence[str], container: Container) -> None:
    """Refuse metadata that does not list all images.

    Raises:
        WaypointError: gives the number of missing images, and the first of them.
    """
    if left := sorted(set(files) - set(listed.files)):
        raise WaypointError(
            f"data.path: {container.path} has {len(left):,} of {len(files):,} images that its metadata does not list: "
            f"{some(left)}. List them, or take them away; data.captions may name a table, and then only what it lists "
            "is read"
        )
