"""The record of the files that training images were read from."""

import os
import shutil
import time

import pytest

from waypoint.store.artifacts import source_files
from waypoint.store.artifacts.source_files import changed_file, changed_source, files_record


@pytest.fixture
def raw(tmp_path):
    for name in ("photos/cat/a.png", "photos/b.png", "table.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def places(root):
    return [str(root / "photos"), str(root / "table.csv")]


def record(root):
    return files_record(places(root), [str(root / name) for name in ("photos/cat/a.png", "photos/b.png", "table.csv")])


def test_files_that_were_never_read_change_nothing(raw):
    made = record(raw)
    for name in (".DS_Store", "Thumbs.db", "notes.txt", "cat/later.png"):
        (raw / "photos" / name).write_text("later")
    assert changed_file(made, places(raw)) is None and changed_source(made, places(raw)) is None


def test_a_touch_or_another_place_is_no_change(raw, monkeypatch):
    made = record(raw)
    os.utime(raw / "photos/b.png")
    assert changed_file(made, places(raw)) is None
    shutil.copytree(raw, raw / "elsewhere")
    assert changed_file(made, places(raw / "elsewhere")) is None
    os.rename(raw / "table.csv", raw / "renamed.csv")
    assert changed_file(made, [str(raw / "photos"), str(raw / "renamed.csv")]) is None


def test_untouched_files_are_not_read(raw, monkeypatch):
    made = record(raw)
    monkeypatch.setattr(source_files, "_contents", lambda *_: pytest.fail("read"))
    assert changed_file(made, places(raw)) is None


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda root: (root / "photos/cat/a.png").write_bytes(b"photos/cat/A.png"), "a.png changed since it was read"),
        (lambda root: (root / "photos/b.png").write_bytes(b"longer than it was"), "b.png changed since it was read"),
        (lambda root: (root / "table.csv").write_bytes(b"table.cs"), "table.csv changed since it was read"),
        (lambda root: (root / "photos/b.png").unlink(), "b.png was read and is gone"),
        (lambda root: (root / "photos/b.png").rename(root / "photos/c.png"), "b.png was read and is gone"),
    ],
)
def test_the_first_file_that_differs_is_named(raw, change, told):
    made = record(raw)
    time.sleep(0.03)  # longer than a tick of the file system's clock
    change(raw)
    assert changed_file(made, places(raw)).endswith(told)
    (raw / "table.csv").write_bytes(b"another")
    assert "more files differ" in changed_file(made, places(raw)) or told.startswith("table")


def test_an_empty_folder_is_data_that_is_gone_and_other_files_are_a_change(raw):
    made = files_record(places(raw)[:1], [str(raw / "photos/b.png")])
    shutil.rmtree(raw / "photos")
    (raw / "photos").mkdir()
    assert changed_file(made, places(raw)[:1]) is None
    (raw / "photos/other.png").touch()
    assert "b.png was read and is gone" in changed_file(made, places(raw)[:1])


def test_links_are_followed(raw):
    (raw / "set").mkdir()
    os.symlink(raw / "photos/cat", raw / "set/cat")
    made = files_record([str(raw / "set")], [str(raw / "set/cat/a.png")])
    assert changed_file(made, [str(raw / "set")]) is None
    (raw / "photos/cat/a.png").write_bytes(b"another")
    assert "set/cat/a.png changed" in changed_file(made, [str(raw / "set")])


def test_no_files_are_no_record(raw):
    assert files_record([], []) is None
