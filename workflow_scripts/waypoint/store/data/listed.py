"""Images listed in tables, with their labels and captions; none is opened here."""

import posixpath
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waypoint.errors import WaypointError
from waypoint.store.data.captions import Caption, is_empty, one_or_several, usable
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
        groups: (n) name of each image's group, "" for none; or None.
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


def images_in_tables(container: Container, tables: Sequence[tuple[str, str, Sequence[Row]]]) -> Listed:
    """List the images in tables, in the order of their first rows.

    Args:
        container: contains the images.
        tables: for each table, the beginning of messages, the folder in the container to which file names are relative,
            and the rows from ``tables.rows_of``.

    Returns:
        ``Listed``, without ``beside``.

    Raises:
        WaypointError: rows have mistakes; lists them by line.
    """
    images: dict[str, Entry] = {}
    groups: dict[str, str | None] = {}
    suffixes = readable()
    columns = [set(rows[0].cells) for _, _, rows in tables]
    has = {role: any(role in roles for roles in columns) for role in ("caption", "label")}
    for (context, folder, rows), roles in zip(tables, columns):
        lacking = [role for role, is_present in has.items() if is_present and role not in roles]
        faults = [f"it has no {role}s, which other tables have" for role in lacking]
        refuse(context, faults or _enter_rows(container, folder, rows, images, groups, has["caption"], suffixes))
    entries = list(images.values())
    labels, class_names = labels_of([entry.label or "" for entry in entries]) if has["label"] else (None, None)
    captions = [one_or_several(usable(entry.captions)) for entry in entries] if has["caption"] else None
    group_names = [(groups[name] or "").strip() for name in images] if set(groups.values()) != {None} else None
    return Listed(list(images), labels, class_names, captions, group_names)


def _enter_rows(
    container: Container,
    folder: str,
    rows: Sequence[Row],
    images: dict[str, Entry],
    groups: dict[str, str | None],
    has_captions: bool,
    suffixes: set[str],
) -> list[str]:
    """Add the rows of one table to ``images`` and ``groups``, by name; returns the faults of the rows."""
    faults: list[str] = []
    table_entries: dict[str, Entry] = {}
    for row in _as_stored(container, rows, folder):
        line, cells, file = row.line, row.cells, row.cells["file"] or ""
        if fault := _fault(container, folder, row):
            faults.append(f"line {line} {fault}" if fault.startswith("has ") else f"line {line}: {fault}")
            continue
        name = posixpath.normpath(posixpath.join(folder, file))
        if name in images and name not in table_entries:
            faults.append(f"line {line}: {file} is listed in another table too")
            continue
        first_line, label, texts = table_entries[name] = images.setdefault(name, Entry(line, cells.get("label"), []))
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
        faults += [f"line {line} has no caption" for line, _, texts in table_entries.values() if not usable(texts)]
    unreadable = [name for name in table_entries if suffix_of(name) not in suffixes]
    faults += [f"line {table_entries[name].line}: {name} is not an image that Pillow can read" for name in unreadable]
    if unreadable and len(faults) == len(unreadable):
        faults[-1] += f".{conversion(unreadable)}"
    return faults


def _fault(container: Container, folder: str, row: Row) -> str | None:
    """Return the fault of a single row, or None."""
    cells, file = row.cells, row.cells["file"]
    if row.surplus:
        return "has more cells than the header; a cell with a comma in it stands in double quotes"
    for column in ("file", "label"):
        if column in cells and is_empty(cells[column]):
            return f"has no {column}"
    if "caption" in cells and cells["caption"] is None:
        return "has no caption"
    if file is None or outside(file):
        return f"{file} leads out of the folder data.path"
    for column in ("file", "label", "group"):
        if "\n" in (cells.get(column) or "").strip():
            return f"has a line break in its {column}; a double quote before it may never close"
    if swallowed := _line_of_an_image(container, folder, cells.get("caption")):
        return f"has a caption that goes on with a line about {swallowed}; a double quote may stand in a wrong place"
    name = posixpath.normpath(posixpath.join(folder, file))
    if container.has(name):
        return None
    backslashes = "; names in tables have / instead of \\" if "\\" in file else ""
    return f"no file {container.location(name)}{backslashes}"


def _line_of_an_image(container: Container, folder: str, caption: str | None) -> str | None:
    """Return the image that a further line of a caption names like a row of the table, or None."""
    for line in caption.splitlines()[1:] if caption and "\n" in caption else ():
        for cell in re.split(r"[,;\t]", line):
            file = cell.strip(' "')
            if file and not outside(file) and container.has(posixpath.normpath(posixpath.join(folder, file))):
                return file
    return None


def _as_stored(container: Container, rows: Sequence[Row], folder: str) -> list[Row]:
    """Return the rows with file names in the Unicode form of the stored ones, where only one differs by its form.

    macOS takes letters with accents apart, other systems do not.
    """
    stored: dict[str, list[str]] | None = None
    renamed: list[Row] = []
    for row in rows:
        file = row.cells["file"]
        if file and not file.isascii() and not outside(file):
            name = posixpath.normpath(posixpath.join(folder, file))
            if not container.has(name):
                if stored is None:
                    stored = {}
                    for other in container.names:
                        stored.setdefault(unicodedata.normalize("NFC", other), []).append(other)
                found = stored.get(unicodedata.normalize("NFC", name), [])
                if len(found) == 1:
                    row = replace(row, cells={**row.cells, "file": posixpath.relpath(found[0], folder or ".")})
        renamed.append(row)
    return renamed


def require_all(listed: Listed, files: Sequence[str], container: Container) -> None:
    """Refuse metadata that does not list all images.

    Raises:
        WaypointError: gives the number of missing images, and the first of them.
    """
    if unlisted := sorted(set(files) - set(listed.files)):
        raise WaypointError(
            f"data.path: {container.path} has {len(unlisted):,} of {len(files):,} images that its metadata does not "
            f"list: {some(unlisted)}. List them, or take them away; data.captions may name a table, and then only what "
            "it lists is read"
        )
