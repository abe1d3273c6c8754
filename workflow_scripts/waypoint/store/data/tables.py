"""Users' tables of captions and labels: CSV separated by , ; or tab, or JSON lines; in UTF-8 or Excel's UTF-16."""

import codecs
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from waypoint.errors import WaypointError


@dataclass(frozen=True)
class Row:
    """A row of a table of images.

    Attributes:
        line: its line in the file. cells: a text for each column; None if the row is too short.
        surplus: the cells beyond the last column.
    """

    line: int
    cells: Mapping[str, str | None]
    surplus: Sequence[str] = ()


# line, cells by the table's own columns, surplus cells
RawRow: TypeAlias = tuple[int, Mapping[str, object], Sequence[str]]

ROLES = {
    "file": ("file", "file_name"),
    "caption": ("caption", "text"),
    "label": ("label",),
    "group": ("group",),
}  # names of columns; the first one present counts
SEPARATORS = ",;\t"
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
SAVE = "save it as UTF-8: in Excel File, Save As, CSV UTF-8 (Comma delimited)"
WORKBOOKS = (b"PK\3\4", b"\xd0\xcf\x11\xe0")  # first bytes of .xlsx and .xls


def text_of(raw: bytes, context: str) -> str:
    """Decode a file's bytes: UTF-8, or UTF-16 with a byte order mark.

    Args:
        context: begins error messages: the key and the file.

    Raises:
        WaypointError: it has another encoding; says how to save it.
    """
    if raw.startswith(WORKBOOKS):
        raise WaypointError(f"{context} is a workbook and no text; {SAVE}")
    encoding = next((name for mark, name in MARKS.items() if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise WaypointError(f"{context} line {line} is no UTF-8; {SAVE}") from error
    if "\0" in text:
        raise WaypointError(f"{context} is not text in UTF-8; {SAVE}")
    return text


def rows_of(raw: bytes, context: str, lines: bool = False) -> tuple[list[str], list[Row]]:
    """Read the rows of a table of images, with columns renamed to file, caption, label and group.

    Hugging Face's file_name and text count as file and caption; names may be in capitals.

    Args:
        raw: bytes of the file. context: begins error messages. lines: whether it is JSON lines rather than CSV.

    Returns:
        names of all columns in the table, and the rows. Each caption in a list becomes a separate row.

    Raises:
        WaypointError: it is not such a table; names the line.
    """
    text = text_of(raw, context)
    columns, rows = _json_rows(text, context) if lines else csv_rows(text, context)
    lower = {name.lower(): name for name in reversed(columns)}
    roles = {
        role: next(lower[name] for name in names if name in lower)
        for role, names in ROLES.items()
        if lower.keys() & set(names)
    }
    return columns, [Row(line, cells, surplus) for line, row, surplus in rows for cells in _in_roles(row, roles)]


def _in_roles(row: Mapping[str, object], roles: Mapping[str, str]) -> Iterator[dict[str, str | None]]:
    """Yield the cells of a row with columns renamed, once for each of its captions."""
    cells = {role: row.get(name) for role, name in roles.items()}
    texts = cells.get("caption")
    for text in cast(list[object], texts) if isinstance(texts, list) else [texts]:
        single = cells | ({"caption": text} if "caption" in cells else {})
        yield {role: None if cell is None else str(cell) for role, cell in single.items()}


def csv_rows(text: str, context: str) -> tuple[list[str], list[RawRow]]:
    """Read a CSV with any of the separators: names of the columns, and the rows.

    Cells missing from a short row are None. A column without a name is called "".

    Raises:
        WaypointError: it is not a table, or two columns have the same name.
    """
    header = next((line for line in text.splitlines() if line.strip()), "")
    # Excel uses the country's separator, and some programs name it in a line of its own
    if header[:4].lower() == "sep=" and header[4:].strip("\r\n") in set(SEPARATORS):
        separator, skipped = header[4], 1
        text = text.split("\n", 1)[1] if "\n" in text else ""
    else:
        separator, skipped = max(SEPARATORS, key=header.count), 0
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=False)
        columns = [(name or "").strip() for name in reader.fieldnames or []]
        reader.fieldnames = columns
        rows = [_without_surplus(reader.line_num + skipped, row) for row in reader]
    except csv.Error as error:
        raise WaypointError(f"{context} cannot be read ({error})") from error
    if duplicates := {name for name in columns if name and columns.count(name) > 1}:
        raise WaypointError(f"{context} has the column {sorted(duplicates)[0]} twice")
    return columns, rows


def _without_surplus(line: int, row: Mapping[str | Any, str | Any]) -> RawRow:
    """Split off the surplus cells of a row of ``csv.DictReader``, which keeps them under the key None."""
    cells: dict[str, object] = {name: cell for name, cell in row.items() if name is not None}
    return line, cells, row.get(None) or ()


def _json_rows(text: str, context: str) -> tuple[list[str], list[RawRow]]:
    rows: list[RawRow] = []
    columns: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row: dict[str, object] | list[object] | None = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise WaypointError(f"{context} line {number} is no JSON ({error})") from error
        if not isinstance(row, dict):
            raise WaypointError(
                f'{context} line {number} is not a mapping such as {{"file_name": "1.png", "text": "a dog"}}'
            )
        rows.append((number, row, ()))
        columns |= dict.fromkeys(row)
    return list(columns), rows
