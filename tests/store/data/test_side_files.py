"""Captions and labels that lie beside images: metadata tables, side files, and where they do not agree."""

import json
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.data.sources import SOURCES

SOURCE = SOURCES["imagefolder"]


def picture(i):
    return np.random.default_rng(i).integers(0, 256, (6, 6, 3), np.uint8)


@pytest.fixture(params=["folder", "zip"])
def packed(request, tmp_path):
    """A function: {name: number of a picture, or text or bytes} to the path of a folder or of a zip archive."""

    def pack(files):
        root = tmp_path / "photos"
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, int):
                Image.fromarray(picture(content)).save(root / name)
            else:
                (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
        if request.param == "folder":
            return str(root)
        with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
            for file in sorted(root.rglob("*")):
                archive.write(file, file.relative_to(tmp_path))  # a folder around everything
        return str(tmp_path / "photos.zip")

    return pack


def checked(path, captions=None):
    section = {"source": "imagefolder", "path": path, "captions": captions and str(captions), "size": None}
    SOURCE.check(section)
    opened = SOURCE(section)
    for i, name in enumerate(opened.files):
        number = int(name.rsplit("/", 1)[-1].split(".")[0])
        assert np.array_equal(opened.read(i), picture(number).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)
    return opened


def refused(path, *words, captions=None):
    with pytest.raises(WaypointError) as caught:
        checked(path, captions)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


# ---- metadata


@pytest.mark.parametrize(
    "name, text",
    [
        ("metadata.csv", "file_name,text\n1.png,one\n0.png,zero\n"),
        ("metadata.csv", "text;file_name\r\none;1.png\r\nzero;0.png\r\n"),
        ("metadata.jsonl", lines({"file_name": "1.png", "text": "one"}, {"file_name": "0.png", "text": "zero"})),
        (
            "metadata.jsonl",
            lines({"file_name": "0.png", "caption": "zero"}, {"file_name": "1.png", "caption": ["one"]}),
        ),
    ],
)
def test_captions_of_hugging_faces_metadata(packed, name, text):
    opened = checked(packed({"0.png": 0, "1.png": 1, name: text}))
    assert opened.files == ["0.png", "1.png"] and opened.captions == ["zero", "one"] and opened.labels is None


def test_labels_and_several_captions(packed):
    text = lines(
        {"file_name": "0.png", "label": "dog", "text": ["a", "b"]}, {"file_name": "1.png", "label": "cat", "text": "c"}
    )
    opened = checked(packed({"0.png": 0, "1.png": 1, "metadata.jsonl": text}))
    assert opened.captions == [["a", "b"], "c"] and opened.class_names == ["cat", "dog"]
    assert opened.labels.tolist() == [1, 0]


def test_metadata_names_groups_and_counts_among_the_files_that_were_read(packed):
    text = "file_name,text,group\n1.png,one,ann\n0.png,zero,\n"
    opened = checked(packed({"0.png": 0, "1.png": 1, "metadata.csv": text}))
    assert opened.groups == ["", "ann"] and opened.captions == ["zero", "one"]
    without = checked(packed({"0.png": 0, "1.png": 1, "metadata.csv": "file_name,text\n1.png,one\n0.png,zero\n"}))
    assert without.groups is None
    assert any(file.endswith(("metadata.csv", ".zip")) for file in without.read_from([0]))


def test_a_label_column_goes_before_folders_and_captions_leave_them(packed):
    files = {"a/0.png": 0, "b/1.png": 1}
    opened = checked(packed(files | {"metadata.csv": "file_name,label\na/0.png,7\nb/1.png,3\n"}))
    assert opened.labels.tolist() == [7, 3]


def test_captions_leave_the_classes_of_folders(packed):
    opened = checked(packed({"a/0.png": 0, "b/1.png": 1, "metadata.csv": "file_name,text\na/0.png,x\nb/1.png,y\n"}))
    assert opened.class_names == ["a", "b"] and opened.captions == ["x", "y"]


def test_metadata_in_several_folders(packed):
    files = {"a/0.png": 0, "b/1.png": 1, "a/metadata.csv": "file_name,text\n0.png,x\n"}
    refused(packed(files), "1 of 2 images", "b/1.png")
    opened = checked(packed(files | {"b/metadata.jsonl": lines({"file_name": "1.png", "text": "y"})}))
    assert opened.captions == ["x", "y"]


def test_tables_that_hold_different_things(packed):
    files = {"a/0.png": 0, "b/1.png": 1, "a/metadata.csv": "file_name,text\n0.png,x\n"}
    refused(packed(files | {"b/metadata.csv": "file_name,label\n1.png,y\n"}), "metadata.csv: it has no", "other tables")


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("metadata.csv", "file_name,text\n0.png,a\n", ["1 of 2 images", "1.png"]),
        ("metadata.csv", "file_name,text\n0.png,a\n1.png,b\n2.png,c\n", ["line 4", "2.png"]),
        ("metadata.csv", "file_name,text\n0.png,a dog, running\n1.png,b\n", ["line 2", "more cells"]),
        ("metadata.csv", "file_name,text\n0.png,\n1.png,b\n", ["line 2 has no caption"]),
        ("metadata.csv", "name,text\n0.png,a\n", ["file_name", "name, text"]),
        ("metadata.csv", "file_name,text\n../0.png,a\n1.png,b\n", ["line 2", "leads out"]),
        ("metadata.csv", "file_name,text,text\n0.png,a,b\n", ["the column text twice"]),
        ("metadata.jsonl", '{"file_name": "0.png", "text": "a"}\n{"file_name": \n', ["line 2 is no JSON"]),
        ("metadata.jsonl", "[1]\n", ["line 1"]),
        (
            "metadata.jsonl",
            lines({"file_name": "0.png", "text": "a"}, {"file_name": "1.png"}),
            ["line 2 has no caption"],
        ),
        ("metadata.csv", "", ["file_name"]),
        ("metadata.parquet", "PAR1", ["metadata.parquet", "to_csv"]),
    ],
)
def test_metadata_with_mistakes_is_refused(packed, name, text, words):
    refused(packed({"0.png": 0, "1.png": 1, name: text}), "data.path", *words)


def test_all_faults_of_a_table_are_told_at_once(packed):
    text = "file_name,text\n" + "".join(f"{i}.png,x\n" for i in range(2, 20))
    refused(packed({"0.png": 0, "1.png": 1, "metadata.csv": text}), "18 faults", "line 2", "and 8 more")


def test_two_tables_in_one_folder(packed):
    both = {"metadata.csv": "file_name,text\n0.png,a\n", "metadata.jsonl": lines({"file_name": "0.png", "text": "a"})}
    refused(packed({"0.png": 0, **both}), "metadata.jsonl lies beside metadata.csv")


def test_metadata_of_which_nothing_is_read_is_told(packed):
    path = packed({"0.png": 0, "metadata.csv": "file_name,bbox\n0.png,1 2 3 4\n"})
    with pytest.warns(WaypointWarning, match="file_name, bbox"):
        assert checked(path).captions is None


def test_hidden_metadata_is_none(packed):
    assert checked(packed({"0.png": 0, "._metadata.csv": b"\0\5\26\7"})).captions is None


# ---- side files


@pytest.mark.parametrize("suffix", [".txt", ".caption", ".TXT"])
def test_captions_in_files_of_the_images_names(packed, suffix):
    files = {"a/0.png": 0, "b/1.jpg.png": 1, f"a/0{suffix}": " a dog,\n running ", f"b/1.jpg{suffix}": "\ufeffcät"}
    opened = checked(packed(files | {"README.txt": "about"}))
    assert opened.captions == ["a dog, running", "cät"] and opened.class_names == ["a", "b"]


def test_side_files_that_are_not_all_there(packed):
    files = {f"{i}.png": i for i in range(5)}
    refused(
        packed(files | {"0.txt": "zero", "3.txt": "three"}), "2 of 5 images", "0.txt", "1.png, 2.png, 4.png have none"
    )


@pytest.mark.parametrize(
    "more, words",
    [
        ({"1.txt": " \n"}, ["1 of 2", "empty", "1.txt"]),
        ({"1.txt": "B\xe4r".encode("cp1252")}, ["1.txt line 1 is no UTF-8", "UTF-8"]),
        ({"1.txt": "one", "1.caption": "one"}, ["1 images", "two captions", "1.png"]),
        ({"1.txt": "one", "metadata.csv": "file_name,text\n0.png,a\n1.png,b\n"}, ["metadata.csv", "2 files beside"]),
    ],
)
def test_side_files_with_mistakes_are_refused(packed, more, words):
    refused(packed({"0.png": 0, "1.png": 1, "0.txt": "zero", **more}), *words)


def test_labels_of_a_table_and_captions_beside_images_go_together(packed):
    files = {"0.png": 0, "1.png": 1, "0.txt": "zero", "1.txt": "one"}
    opened = checked(packed(files | {"metadata.csv": "file_name,label\n1.png,b\n0.png,a\n"}))
    assert opened.captions == ["zero", "one"] and opened.labels.tolist() == [0, 1]


def test_texts_that_belong_to_no_image_are_none(packed):
    with warnings.catch_warnings():
        warnings.simplefilter("error", WaypointWarning)
        assert checked(packed({"0.png": 0, "README.txt": "about", "classes.txt": "a"})).captions is None


def test_data_captions_goes_before_everything_beside(packed, tmp_path):
    files = {"0.png": 0, "1.png": 1, "0.txt": "zero", "metadata.csv": "file_name,text\n0.png,other\n"}
    (tmp_path / "table.csv").write_text("file,caption\n1.png,one\n")
    opened = checked(packed(files), tmp_path / "table.csv")
    assert opened.files == ["1.png"] and opened.captions == ["one"]
    (tmp_path / "table.jsonl").write_text(lines({"file_name": "0.png", "text": "zero"}))
    assert checked(packed(files), tmp_path / "table.jsonl").captions == ["zero"]


def test_what_was_read_from_names_tables_and_side_files(packed):
    path = packed({"0.png": 0, "0.txt": "zero", "README.txt": "about"})
    section = {"source": "imagefolder", "path": path, "captions": None, "size": None}
    expected = [path] if path.endswith(".zip") else [f"{path}/0.txt", f"{path}/0.png"]
    assert sorted(SOURCE(section).read_from([0])) == sorted(expected)
