"""Tables as programs write them: every separator and encoding gives the same rows, or one sentence."""

import pytest

from waypoint.errors import WaypointError
from waypoint.store.data.tables import Row, rows_of

ROWS = [Row(2, {"file": "a.png", "caption": "a dog, running; fast"}), Row(3, {"file": "b.png", "caption": "Bär"})]


def table(separator, encoding="utf-8", end="\n", first=""):
    cell = f'"{ROWS[0].cells["caption"]}"'
    lines = [f"file{separator}caption", f"a.png{separator}{cell}", f"b.png{separator}Bär"]
    return (first + "".join(line + end for line in lines)).encode(encoding)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_same_rows_however_they_are_written(separator, encoding, end):
    columns, rows = rows_of(table(separator, encoding, end), "x")
    assert columns == ["file", "caption"] and rows == ROWS


def test_utf_16_of_the_other_order():
    assert rows_of(b"\xfe\xff" + table("\t", "utf-16-be"), "x")[1] == ROWS


def test_a_line_that_names_the_separator():
    columns, rows = rows_of(table(";", first="sep=;\n"), "x")
    assert columns == ["file", "caption"] and rows == [Row(row.line + 1, row.cells) for row in ROWS]


def test_names_of_columns():
    for header in ("file_name,text", "File, Caption", "FILE,text"):
        assert rows_of(f"{header}\na.png,one\n".encode(), "x")[1] == [Row(2, {"file": "a.png", "caption": "one"})]
    columns, rows = rows_of(b"file,file_name,caption,text,more\n1,2,3,4,5\n", "x")
    assert rows == [Row(2, {"file": "1", "caption": "3"})] and "more" in columns


def test_rows_that_are_too_long_or_short():
    _, rows = rows_of(b"file,caption\na.png,one,two\nb.png\n", "x")
    assert rows == [
        Row(2, {"file": "a.png", "caption": "one"}, ["two"]),
        Row(3, {"file": "b.png", "caption": None}),
    ]


@pytest.mark.parametrize(
    "raw, words",
    [
        (table(",", "cp1252"), ["x line 3 is no UTF-8", "CSV UTF-8"]),
        (table(",", "utf-16-le"), ["UTF-8", "CSV UTF-8"]),
        ("file,caption\na.png,one\n".encode("utf-16-le"), ["x is not text in UTF-8", "CSV UTF-8"]),
        (b"PK\3\4 workbook", ["x is a workbook", "CSV UTF-8"]),
        (b"\xd0\xcf\x11\xe0 old workbook", ["x is a workbook"]),
        (b"file,file\na,b\n", ["the column file twice"]),
        (b"file,caption\n" + b"x" * 200_000 + b",y\n", ["x cannot be read"]),
    ],
)
def test_what_is_no_such_table_is_one_sentence(raw, words):
    with pytest.raises(WaypointError) as caught:
        rows_of(raw, "x")
    for word in words:
        assert word in str(caught.value)


def test_nothing_is_an_empty_table():
    assert rows_of(b"", "x") == ([], []) and rows_of(b"\n\n", "x", lines=True) == ([], [])
