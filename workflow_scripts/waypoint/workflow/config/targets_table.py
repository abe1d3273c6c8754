"""Targets listed in a CSV table, separated by comma, semicolon or tab, as saved by pandas or a spreadsheet."""

import difflib
import re
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.data.tables import csv_rows, text_of

NUMBER = re.compile(r"[+-]?\d+(\.0*)?")  # pandas writes 1.0 where a column of whole numbers has a gap
BOX = re.compile(r"[\[(]|-?\d+\s*[,;\s]")  # matches the beginning of a box, but of no file name


def read_targets(path, known):
    """Return the rows of a table of targets, as in ``targets:``, without empty cells and rows.

    The case of column names does not matter. A column without a name is ignored if it is empty or holds row numbers,
    as pandas writes them.

    Args:
        known: the allowed column names.

    Raises:
        WaypointError: no such file, an unknown column, or a cell that should be a number; names file and line.
    """
    where = f"config: targets: {path}"
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise WaypointError(f"config: targets: cannot read {path} ({error})") from error
    _, rows = csv_rows(text_of(raw, where), where)
    targets = []
    for line, row, surplus in rows:
        if surplus or None in row.values():
            raise WaypointError(f"{where} line {line} has more or fewer cells than the header")
        texts = {name.lower(): str(cell).strip() for name, cell in row.items()}
        cells = {name: text for name, text in texts.items() if text}
        index = cells.pop("", None)
        if not cells:
            continue
        if index not in (None, str(len(targets)), str(len(targets) + 1)):
            raise WaypointError(f"{where} line {line}: {index!r} stands in a column without a name")
        for name in cells:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"leave it out, or name it one of {', '.join(known)}"
                raise WaypointError(f"{where} has a column {name!r}, which targets do not have; {hint}")
        targets.append({name: _value(name, cell, f"{where} line {line}: {name}") for name, cell in cells.items()})
    if not targets:
        raise WaypointError(f"{where} has no rows")
    return targets


def _value(name, cell, where):
    if name in ("seed", "label", "noises"):
        return _whole(cell, where)
    if name == "steps":
        return [_whole(step, where) for step in _list(cell)]
    if name == "mask" and BOX.match(cell):
        return [_whole(edge, where) for edge in _list(cell)]
    return cell


def _list(cell):
    """Return the parts of a list written as 100 500, "100, 500" or [100, 500]."""
    return [part for part in re.split(r"[\s,;]+", cell.strip("[]() ")) if part]


def _whole(text, where):
    if not NUMBER.fullmatch(text):
        raise WaypointError(f"{where}: {text!r} is no whole number")
    return int(text.split(".")[0])
