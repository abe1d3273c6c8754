"""Targets listed in a CSV table, separated by comma, semicolon or tab, as saved by pandas or a spreadsheet."""

import difflib
import re
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.data.listing import readable, suffix_of
from waypoint.store.data.tables import csv_rows, text_of

NUMBER = re.compile(r"[+-]?\d+(\.0*)?")  # pandas writes 1.0 if a column of integers has gaps
BOX = re.compile(
    r"[\[(]|-?\d+\s*[,;\s]"
)  # matches the beginning of a box; a name may begin so too, but ends in the suffix of a picture


def read_targets(path, columns):
    """Return the rows of a table of targets, as in ``targets:``, without empty cells and rows.

    The case of column names does not matter. A column without a name is ignored if it is empty or holds row numbers,
    as pandas writes them.

    Args:
        columns: the allowed column names.

    Raises:
        WaypointError: no such file, an unknown column, or a cell that should be a number; names file and line.
    """
    source = f"config: targets: {path}"
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise WaypointError(f"config: targets: cannot read {path} ({error})") from error
    _, rows = csv_rows(text_of(raw, source), source)
    targets = []
    for line, row, surplus in rows:
        if surplus or None in row.values():
            raise WaypointError(f"{source} line {line} has more or fewer cells than the header")
        texts = {name.lower(): str(cell).strip() for name, cell in row.items()}
        cells = {name: text for name, text in texts.items() if text}
        index = cells.pop("", None)
        if not cells:
            continue
        if index not in (None, str(len(targets)), str(len(targets) + 1)):
            raise WaypointError(f"{source} line {line}: {index!r} stands in a column without a name")
        for name in cells:
            if name not in columns:
                close = difflib.get_close_matches(name, columns, n=1)
                hint = (
                    f"did you mean {close[0]!r}?" if close else f"leave it out, or name it one of {', '.join(columns)}"
                )
                raise WaypointError(f"{source} has a column {name!r}, which targets do not have; {hint}")
        targets.append({name: _value(name, cell, f"{source} line {line}: {name}") for name, cell in cells.items()})
    if not targets:
        raise WaypointError(f"{source} has no rows")
    return targets


def _value(name, cell, source):
    if name in ("seed", "label", "noises"):
        return _integer(cell, source)
    if name == "steps":
        return [_integer(step, source) for step in _list(cell)]
    if name == "mask" and BOX.match(cell) and suffix_of(cell) not in readable():
        return [_integer(edge, source) for edge in _list(cell)]
    return cell


def _list(cell):
    """Return the parts of a list written as 100 500, "100, 500" or [100, 500]."""
    return [part for part in re.split(r"[\s,;]+", cell.strip("[]() ")) if part]


def _integer(text, source):
    if not NUMBER.fullmatch(text):
        raise WaypointError(f"{source}: {text!r} is not an integer")
    return int(text.split(".")[0])
