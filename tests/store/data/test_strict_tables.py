"""Tables that a lenient reader would mend: quotes that do not close, values of JSON that are no text, and the like."""

import gzip
import json
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from waypoint.errors import WaypointError
from waypoint.store.data.sources import SOURCES
from waypoint.store.data.tables import Row, rows_of
from waypoint.workflow.config.targets_table import read_targets

SOURCE = SOURCES["imagefolder"]


def table(text, lines=False):
    return rows_of(text if isinstance(text, bytes) else text.encode(), "x", lines)[1]


def refused(call, *words):
    with pytest.raises(WaypointError) as caught:
        call()
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.fixture
def photos(tmp_path):
    """A function: the text of a table of 1.png, 2.png and 3.png, and its suffix, to the section data."""
    (tmp_path / "photos").mkdir()
    for i in (1, 2, 3):
        Image.new("L", (4, 4), i).save(tmp_path / f"photos/{i}.png")

    def section(text, suffix=".csv"):
        (tmp_path / f"table{suffix}").write_text(text, encoding="utf-8")
        places = {"path": str(tmp_path / "photos"), "captions": str(tmp_path / f"table{suffix}")}
        return {"source": "imagefolder", "size": None, "subset": None, **places}

    return section


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


# ---- quotes


UNCLOSED = "line 2 opens a double quote that never closes"
AFTER = "has text after a closing double quote"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('file,label\n1.png,"cat\n2.png,dog\n3.png,cow\n', UNCLOSED),
        ('file,caption\n1.png,"a dog\n2.png,a cat\n', UNCLOSED),
        ('file,caption\n1.png,a\n2.png,"a \\"big\\" dog"\n', f"line 3 {AFTER}"),
        ('file,caption\n\n1.png,"a 12" ruler"\n', f"line 3 {AFTER}"),
        ('file\tcaption\n1.png\t"Hello" said he\n', f"line 2 {AFTER}"),
        ('sep=;\nfile;caption\n1.png;"a" dog\n', f"line 3 {AFTER}"),
        ('file,caption\n1.png,"two\nlines"\n2.png,"a" dog\n', f"line 4 {AFTER}"),
    ],
)
def test_quotes_that_are_none_of_a_csv_are_refused_with_their_line(text, said):
    refused(lambda: table(text), "x cannot be read", said, 'doubled: "a ""big"" dog"')


def test_quotes_as_a_csv_has_them():
    text = 'file, caption\n1.png, "a ""big"" dog, running"\n2.png,a 12" ruler\n3.png, a cat\n'
    texts = ['a "big" dog, running', 'a 12" ruler', "a cat"]
    assert [row.cells["caption"] for row in table(text)] == texts
    assert [row.line for row in table('file,caption\n1.png,"two\nlines"\n2.png,a\n')] == [2, 4]


def test_quotes_in_a_table_of_targets(tmp_path):
    (tmp_path / "t.csv").write_text('id,seed,prompt\na,1,"a dog\nb,2,a cat\n')
    refused(lambda: read_targets(tmp_path / "t.csv", ["id", "seed", "prompt"]), "config: targets", "t.csv", UNCLOSED)
    (tmp_path / "t.csv").write_text('\nid, seed, prompt\na, 1, "a dog, running"\n')
    rows = read_targets(tmp_path / "t.csv", ["id", "seed", "prompt"])
    assert rows == [{"id": "a", "seed": 1, "prompt": "a dog, running"}]


@pytest.mark.parametrize("first", ["\n", " \r\n\r\n", "sep=,\n", '"sep=,"\n', "sep=,\r", ",,\n"])
def test_lines_before_the_header(first):
    end = "\r" if first.endswith("\r") else "\n"
    row = table(first + f"file,caption{end}1.png,a{end}")
    assert row == [Row(first.count("\n") + first.endswith("\r") + 2, {"file": "1.png", "caption": "a"})]


# ---- values of JSON


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"label": [0, 1]}, "line 2 has a label that is a list; a label is a text, a number, or true or false"),
        ({"label": {"id": 1}}, "line 2 has a label that is a mapping"),
        ({"label": 1, "group": ["a"]}, "line 2 has a group that is a list"),
        ({"caption": {"raw": "a"}}, "line 2 has a caption that is a mapping; a caption is a text, or a list of texts"),
        ({"caption": 7}, "line 2 has a caption that is a number"),
        ({"caption": ["a", ["b"]]}, "line 2 has a caption that is a list with a list in it"),
        ({"caption": ["a", True]}, "line 2 has a caption that is a list with true or false in it"),
    ],
)
def test_values_that_are_no_labels_or_captions_are_refused(row, said):
    good = {"file": "1.png"} | {role: "x" for role in row}
    refused(lambda: table(jsonl(good, {"file": "2.png", **row}), lines=True), f"x: {said}")


def test_values_that_are():
    rows = table(jsonl(*({"file": "1.png", "label": label} for label in ("a", 1, 2.0, -0.0, 0.5, True))), lines=True)
    assert [row.cells["label"] for row in rows] == ["a", "1", "2", "0", "0.5", "True"]


def test_an_image_without_captions_does_not_vanish(photos):
    """Empty lists once dropped the image, and nulls in longer ones were its fault."""
    rows = [{"file": "1.png", "caption": ["a", None, "b"]}, {"file": "2.png", "caption": []}]
    refused(lambda: SOURCE.check(photos(jsonl(*rows), ".jsonl")), "table.jsonl: line 2 has no caption")
    refused(lambda: SOURCE.check(photos(jsonl(rows[1]), ".jsonl")), "line 1 has no caption")
    refused(lambda: SOURCE.check(photos(jsonl(rows[1] | {"caption": [None]}), ".jsonl")), "line 1 has no caption")
    assert SOURCE(photos(jsonl(rows[0]), ".jsonl")).captions == [["a", "b"]]


@pytest.mark.parametrize("key", ["file", "caption", "label", "other"])
def test_half_characters_are_refused_with_their_line(key):
    row = {"file": "1.png", "caption": "a", "label": "b", key: "hi \ud83d"}
    refused(lambda: table(jsonl(row), lines=True), "x line 1 contains \\ud83d, half of a character")
    refused(lambda: table(jsonl(row | {key: "a\0b"}), lines=True), "x line 1 contains the sign \\u0000")
    assert table(jsonl(row | {key: "\U0001f600 \\ud83d \\u0000"}), lines=True)  # a pair, and backslashes


# ---- what a table is not, and names that nearly fit


def test_swallowed_lines_that_are_right_by_the_letter(photos):
    rows = 'file,caption\n1.png,"a dog\n2.png,a cat"\n3.png,a cow\n'
    refused(lambda: SOURCE.check(photos(rows)), "line 2 has a caption that goes on with a line about 2.png")
    refused(lambda: SOURCE.check(photos(rows.replace("caption", "label"))), "line 2 has a line break in its label")
    assert SOURCE(photos('file,caption\n1.png,"a dog,\nrunning"\n')).captions == ["a dog, running"]


@pytest.mark.parametrize("text", ['{"file": "1.png", "caption": "a"}\n', '\n[{"file": "1.png"}]'])
def test_json_under_another_name(photos, text):
    refused(lambda: SOURCE.check(photos(text, ".json")), "table.json is JSON and no CSV; name it .jsonl, with one")
    refused(lambda: SOURCE.check(photos("\ufeff" + text, ".csv")), "table.csv is JSON and no CSV")


def test_a_compressed_table(photos):
    section = photos("", ".csv.gz")
    Path(section["captions"]).write_bytes(gzip.compress(b"file,caption\n1.png,a\n"))
    refused(lambda: SOURCE.check(section), "table.csv.gz is compressed; unpack it with `gunzip ")


def test_names_with_accents_and_backslashes(photos, tmp_path):
    for form in ("NFC", "NFD"):
        name, other = (unicodedata.normalize(f, "Caf\xe9.png") for f in (form, "NFC" if form == "NFD" else "NFD"))
        (tmp_path / "photos/1.png").rename(tmp_path / "photos" / name)
        assert SOURCE(photos(f"file,label\n{other},a\n")).files == [name]
        (tmp_path / "photos" / name).rename(tmp_path / "photos/1.png")
    refused(lambda: SOURCE.check(photos("file,label\na\\1.png,a\n")), "no file", "names in tables have / instead of \\")


def test_a_mask_whose_name_begins_with_a_number(tmp_path):
    columns = ["id", "seed", "mask"]
    (tmp_path / "t.csv").write_text('id,seed,mask\na,1,1 mask.png\nb,2,"0,0,8,8"\n')
    rows = read_targets(tmp_path / "t.csv", columns)
    assert [row["mask"] for row in rows] == ["1 mask.png", [0, 0, 8, 8]]
