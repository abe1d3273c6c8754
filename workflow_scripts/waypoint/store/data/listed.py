"""The images that tables list, with their labels and captions, before any of them is opened."""

import posixpath
from typing import NamedTuple

from waypoint.errors import WaypointError
from waypoint.store.data.captions import empty, one_or_several, usable
from waypoint.store.data.faults import refuse, some
from waypoint.store.data.labels import labels_of
from waypoint.store.data.listing import conversion, readable, suffix_of
from waypoint.store.data.paths import outside


class Listed(NamedTuple):
    """What a folder and its table say, before any image is opened.

    Attributes:
        files: (n) names. labels: (n,) or None. class_names: by label, or None. captions: (n) or None.
        groups: (n) whose an image is, "" for nobody's; or None.
        beside: places of the tables and side files that were read too.
    """

    files: list
    labels: object = None
    class_names: list | None = None
    captions: list | None = None
    groups: list | None = None
    beside: tuple = ()


def tabled(container, tables):
    """The images that tables list, in the order of their first rows.

    Args:
        container: holds the images.
        tables: [(where, folder, rows)]: what begins messages, the folder in the container that the names of files are
            relative to, and rows as of ``tables.rows_of``.

    Returns:
        ``Listed``, without ``beside``.

    Raises:
        WaypointError: what is wrong with the rows, by line.
    """
    images, groups, suffixes = {}, {}, readable()
    columns = [set(rows[0][1]) - {None} for _, _, rows in tables]
    has = {role: any(role in known for known in columns) for role in ("caption", "label")}
    for (where, folder, rows), known in zip(tables, columns):
        lacks = [role for role, there in has.items() if there and role not in known]
        faults = [f"it has no {role}s, which other tables have" for role in lacks]
        refuse(where, faults or _entered(container, folder, rows, images, groups, has["caption"], suffixes))
    _, given, texts = zip(*images.values())
    labels, class_names = labels_of(given) if has["label"] else (None, None)
    captions = [one_or_several(usable(several)) for several in texts] if has["caption"] else None
    grouped = [(groups[name] or "").strip() for name in images] if set(groups.values()) != {None} else None
    return Listed(list(images), labels, class_names, captions, grouped)


def _entered(container, folder, rows, images, groups, has_captions, suffixes):
    """Enter rows into {name: (line, label, captions)} and {name: group}, and give what is wrong with them."""
    faults, own = [], {}
    for line, row in rows:
        if fault := _fault(container, folder, row):
            faults.append(f"line {line} {fault}" if fault.startswith("has ") else f"line {line}: {fault}")
            continue
        name = posixpath.normpath(posixpath.join(folder, row["file"]))
        if name in images and name not in own:
            faults.append(f"line {line}: {row['file']} is listed in another table too")
            continue
        first_line, label, texts = own[name] = images.setdefault(name, (line, row.get("label"), []))
        if line != first_line and not has_captions:
            faults.append(f"line {line}: {row['file']} is listed twice")
        elif row.get("label") != label:
            faults.append(f"line {line}: {row['file']} has label {row['label']}, but {label} in line {first_line}")
        elif groups.setdefault(name, row.get("group")) != row.get("group"):
            faults.append(
                f"line {line}: {row['file']} has group {row['group']!r}, but {groups[name]!r} in line {first_line}"
            )
        texts.append(row.get("caption"))
    if has_captions:
        faults += [f"line {line} has no caption" for line, _, texts in own.values() if not usable(texts)]
    unread = [name for name in own if suffix_of(name) not in suffixes]
    faults += [f"line {own[name][0]}: {name} is no image that Pillow reads" for name in unread]
    if unread and len(faults) == len(unread):
        faults[-1] += f".{conversion(unread)}"
    return faults


def _fault(container, folder, row):
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
    name = posixpath.normpath(posixpath.join(folder, row["file"]))
    return None if container.has(name) else f"no file {container.where(name)}"


def require_all(listed, files, container):
    """Refuse metadata that leaves images out.

    Raises:
        WaypointError: tells how many, and the first.
    """
    if left := sorted(set(files) - set(listed.files)):
        raise WaypointError(
            f"data.path: {container.path} has {len(left):,} of {len(files):,} images that its metadata does not list: "
            f"{some(left)}. List them, or take them away; data.captions may name a table, and then only what it lists "
            "is read"
        )
