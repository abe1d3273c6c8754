"""Users' tables of captions and labels: CSV separated by , ; or tab, or JSON lines; in UTF-8 or Excel's UTF-16."""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias, cast

from waypoint.errors import WaypointError
from waypoint.store.data.faults import refuse


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
ESCAPE = re.compile(r"\\u(?:0000|d[89a-f])", re.IGNORECASE)  # of a zero, or of a half of a character
FIRST_LINE = re.compile(r"(?:[^\S\r\n]*[\r\n])*([^\r\n]*)")  # the first that is not blank
SEPARATOR_LINE = re.compile(r'"?sep=([,;\t])"?', re.IGNORECASE)
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
    if lines:
        refuse(context, [f"line {line} {fault}" for line, row, _ in rows for fault in _faults_of(row, roles)])
    return columns, [Row(line, cells, surplus) for line, row, surplus in rows for cells in _in_roles(row, roles)]


def _faults_of(row: Mapping[str, object], roles: Mapping[str, str]) -> list[str]:
    """Return clauses about values of JSON that are no labels, groups or captions."""
    faults = [label_fault(row.get(name), role) for role, name in roles.items() if role in ("label", "group")]
    faults += [caption_fault(row.get(name)) for role, name in roles.items() if role == "caption"]
    return [fault for fault in faults if fault]


def _in_roles(row: Mapping[str, object], roles: Mapping[str, str]) -> Iterator[dict[str, str | None]]:
    """Yield the cells of a row with columns renamed, once for each of its captions; once if it has none."""
    cells = {role: label_text(row.get(name)) for role, name in roles.items() if role != "caption"}
    if "caption" not in roles:
        yield cells
        return
    texts = row.get(roles["caption"])
    captions = [text for text in cast(list[str | None], texts) if text is not None] if isinstance(texts, list) else []
    for text in captions or [None if isinstance(texts, list) else cast(str | None, texts)]:
        yield cells | {"caption": text}


def label_text(cell: object) -> str | None:
    """Return the text of a value of JSON: a whole number is written as such, even if it comes as 2.0."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return None if cell is None else str(cell)


def csv_rows(text: str, context: str) -> tuple[list[str], list[RawRow]]:
    """Read a CSV with any of the separators: names of the columns, and the rows with the line on which each begins.

    Cells missing from a short row are None. A column without a name is called "".

    Raises:
        WaypointError: it is not a table, two columns have the same name, or quotes are not those of a CSV, which a
            reader would otherwise mend by joining lines; names the line.
    """
    first = FIRST_LINE.match(text)
    header = first[1] if first else ""
    # Excel uses the country's separator, and some programs name it in a line of its own
    if first and (names_separator := SEPARATOR_LINE.fullmatch(header)):
        separator, text = names_separator[1], text[: first.start(1)] + text[first.end(1) :]
    else:
        separator = max(SEPARATORS, key=header.count)
    columns: list[str] = []
    rows: list[RawRow] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    line = 1
    try:
        for cells in reader:
            if columns and cells:
                rows.append(_row(line, columns, cells))
            elif not columns and any(map(str.strip, cells)):
                columns = [name.strip() for name in cells]
            line = reader.line_num + 1
    except csv.Error as error:
        raise WaypointError(f"{context} cannot be read: {_csv_fault(line, error)}") from error
    if duplicates := {name for name in columns if name and columns.count(name) > 1}:
        raise WaypointError(f"{context} has the column {sorted(duplicates)[0]} twice")
    return columns, rows


def _row(line: int, columns: Sequence[str], cells: Sequence[str]) -> RawRow:
    """Return a row with its cells by column, None for those it lacks, and its surplus cells."""
    return line, dict(zip_longest(columns, cells[: len(columns)])), cells[len(columns) :] or ()


def _csv_fault(line: int, error: csv.Error) -> str:
    """Return a clause about the row that begins in a line and that ``csv`` cannot read."""
    if "unexpected end" in str(error):
        problem = "opens a double quote that never closes"
    elif "expected after" in str(error):
        problem = "has text after a closing double quote"
    else:
        return f"line {line} ({error})"
    return (
        f"line {line} {problem}; a cell that contains a quote stands in double quotes, with each quote in it doubled: "
        '"a ""big"" dog"'
    )


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
        require_whole_text(line, row, f"{context} line {number}")
        rows.append((number, row, ()))
        columns |= dict.fromkeys(row)
    return list(columns), rows


def require_whole_text(raw: str, value: object, context: str) -> None:
    """``require_whole`` for all texts in JSON.

    Args:
        raw: the JSON, where such signs can only be escapes. value: what it says. context: begins error messages.

    Raises:
        WaypointError: a text contains one.
    """
    if ESCAPE.search(raw):
        for text in _texts_in(value):
            require_whole(text, context)


def require_whole(text: str, context: str) -> None:
    """Refuse a text with half a character, a surrogate alone, or a zero, which no store can hold.

    Raises:
        WaypointError: it contains one.
    """
    if "\0" in text:
        raise WaypointError(f"{context} contains the sign \\u0000, which is no part of a text; take it out")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise WaypointError(
            f"{context} contains {ascii(text[error.start])[1:-1]}, half of a character whose other half is missing; "
            "write the text anew"
        ) from error


def _texts_in(value: object) -> Iterator[str]:
    """Yield all texts in a value of JSON, keys too."""
    values = [value]
    while values:
        value = values.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            items = cast(dict[str, object], value)
            values += [*items.keys(), *items.values()]
        elif isinstance(value, list):
            values += cast(list[object], value)


def label_fault(value: object, role: str = "label") -> str | None:
    """Return a clause if a value of JSON is no label (a text, a number, or true or false); else None."""
    if value is None or isinstance(value, str | int | float):
        return None
    return f"has a {role} that is {_kind(value)}; a {role} is a text, a number, or true or false"


def caption_fault(value: object) -> str | None:
    """Return a clause if a value of JSON is no caption (a text, or a list of texts); else None."""
    texts = cast(list[object], value) if isinstance(value, list) else [value]
    wrong = [text for text in texts if text is not None and not isinstance(text, str)]
    if not wrong:
        return None
    kind = f"a list with {_kind(wrong[0])} in it" if isinstance(value, list) else _kind(value)
    return f"has a caption that is {kind}; a caption is a text, or a list of texts"


def _kind(value: object) -> str:
    kinds: dict[type, str] = {
        dict: "a mapping",
        list: "a list",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    kind = type(value)
    return kinds.get(kind, kind.__name__)
