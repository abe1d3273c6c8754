"""Parquet and saved folders as planning sees them: every file that a job will read is opened before the first job."""

import io
import json

import pytest
from PIL import Image

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.data.sources import SOURCES

datasets = pytest.importorskip("datasets")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

SOURCE = SOURCES["huggingface"]


def png(i):
    out = io.BytesIO()
    Image.new("L", (4, 4), i).save(out, "PNG")
    return out.getvalue()


def parquet(path, n=2, start=0, **columns):
    """Write n images, of grey level ``start`` and on, with other columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": png(start + i), "path": f"{start + i}.png"} for i in range(n)]
    image = pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    pq.write_table(pa.table({"image": image, **columns}), path)
    return path


def section(path, **more):
    place = path if isinstance(path, list) else str(path)
    keys = {"columns": None, "split": None, "configuration": None, "subset": None}
    return {"source": "huggingface", "path": place, "size": None, **keys, **more}


def refused(found, *words):
    """At planning: nothing but ``check`` is called."""
    with pytest.raises(WaypointError) as caught:
        SOURCE.check(found)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def files_of(found):
    assert SOURCE.check(found) == SOURCE(found).n
    return SOURCE(found).files


# ---- folders


@pytest.mark.parametrize("suffix, raw", [(".png", png(9)), (".json", b'{"x": 1}'), (".csv", b"a,b\n1,2\n")])
def test_parquet_is_read_whatever_else_is_in_the_folder(tmp_path, suffix, raw):
    """The library itself reads the files of the most frequent suffix."""
    parquet(tmp_path / "a/data.parquet")
    for i in range(5):
        (tmp_path / f"a/sample{i}{suffix}").write_bytes(raw)
    assert files_of(section(tmp_path / "a")) == ["0.png", "1.png"]


def test_splits_are_those_of_the_hub(tmp_path):
    parquet(tmp_path / "a/train-00000-of-00001.parquet", 3)
    parquet(tmp_path / "a/test-00000-of-00001.parquet", 1, 7)
    assert len(files_of(section(tmp_path / "a"))) == 3
    assert files_of(section(tmp_path / "a", split="test")) == ["7.png"]
    assert SOURCE.check(section(tmp_path / "a", split="train[:2]")) is None
    assert SOURCE(section(tmp_path / "a", split="train[:2]")).n == 2
    assert len(files_of(section(tmp_path / "a", split="train+test"))) == 4
    refused(section(tmp_path / "a", split="validation"), "data.split", "no validation", "train, test")
    refused(section(tmp_path / "a", split="train+val[:1]"), "data.split", "no val in")
    refused(section(tmp_path / "a/test-00000-of-00001.parquet", split="test"), "data.split", "no test", "are train")


def test_a_dataset_card_names_files_and_types(tmp_path):
    parquet(tmp_path / "x/0.parquet", 2, label=[0, 1])
    parquet(tmp_path / "y/0.parquet", 1, 5, label=[1])
    card = "---\nconfigs:\n- config_name: default\n  data_files: y/*.parquet\n"
    types = (
        "dataset_info:\n  features:\n  - {name: image, dtype: image}\n  - name: label\n    dtype:\n      class_label:\n"
    )
    types += "        names: {'0': cat, '1': dog}\n---\n"
    (tmp_path / "README.md").write_text(card + types)
    assert files_of(section(tmp_path)) == ["5.png"] and SOURCE(section(tmp_path)).class_names == ["cat", "dog"]
    several = "".join(f"- config_name: {name}\n  data_files: {name}/*.parquet\n" for name in "xy")
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n{several}---\n")
    refused(section(tmp_path), "README.md are x, y", "/x/*.parquet")
    assert len(files_of(section(tmp_path / "x"))) == 2


# ---- shards


def test_every_shard_is_opened(tmp_path):
    parquet(tmp_path / "a/0.parquet")
    for raw in (b"", b"x", b"PAR1"):
        (tmp_path / "a/1.parquet").write_bytes(raw)
        refused(section(tmp_path / "a"), "data.path", "1.parquet cannot be read")
        refused(section([str(tmp_path / "a/0.parquet"), str(tmp_path / "a/1.parquet")]), "1.parquet cannot be read")


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({}, ["1.parquet has no column label", "0.parquet has one"]),
        ({"label": [1, 2], "more": [1, 2]}, ["1.parquet has a column more"]),
        ({"label": ["x", "y"]}, ["string", "column label", "int64"]),
        ({"label": [[1], [2]]}, ["column label"]),
    ],
)
def test_shards_that_do_not_fit_each_other(tmp_path, second, words):
    parquet(tmp_path / "0.parquet", label=[0, 1])
    parquet(tmp_path / "1.parquet", **second)
    refused(section(tmp_path), "data.path", *words)


def test_shards_of_other_classes(tmp_path):
    for k, names in enumerate((["cat", "dog"], ["dog", "cat"])):
        types = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
        rows = {"image": [{"bytes": png(k), "path": f"{k}.png"}], "label": [0]}
        datasets.Dataset.from_dict(rows, features=types).to_parquet(tmp_path / f"{k}.parquet")
    refused(section(tmp_path), "1.parquet has the classes dog, cat in column label", "cat, dog")


def test_shards_that_differ_in_bits_fit(tmp_path):
    parquet(tmp_path / "0.parquet", label=pa.array([0, 1], pa.int64()))
    parquet(tmp_path / "1.parquet", start=2, label=pa.array([1, 2], pa.int32()))
    assert len(files_of(section(tmp_path))) == 4 and SOURCE(section(tmp_path)).labels.tolist() == [0, 1, 1, 2]


def test_no_rows(tmp_path):
    refused(section(parquet(tmp_path / "0.parquet", 0)), "data.path", "0.parquet has no rows")
    parquet(tmp_path / "a/0.parquet", 1)
    with pytest.raises(WaypointError, match="no rows in the part that is read|no data"):
        SOURCE(section(tmp_path / "a", split="train[1:]"))


def test_a_saved_folder_without_a_part_or_with_a_broken_one(tmp_path):
    rows = {"image": [{"bytes": png(i), "path": f"{i}.png"} for i in range(2)]}
    made = datasets.Dataset.from_dict(rows, features=datasets.Features({"image": datasets.Image()}))
    made.save_to_disk(tmp_path / "a", num_shards=2)
    assert SOURCE.check(section(tmp_path / "a")) == 2
    part = tmp_path / "a/data-00001-of-00002.arrow"
    raw = part.read_bytes()
    part.write_bytes(raw[: len(raw) // 2])
    refused(section(tmp_path / "a"), "data-00001-of-00002.arrow cannot be read", "save the data set again")
    part.unlink()
    refused(section(tmp_path / "a"), "data.path", "data-00001-of-00002.arrow is missing")
    state = json.loads((tmp_path / "a/state.json").read_text())
    (tmp_path / "a/state.json").write_text(json.dumps(state | {"_data_files": 3}))
    refused(section(tmp_path / "a"), "state.json cannot be read")


# ---- columns


def test_labels_of_floats_and_names_in_capitals(tmp_path):
    opened = SOURCE(section(parquet(tmp_path / "0.parquet", Label=[2.0, 1.0], Text=[" a  dog", "b"])))
    assert opened.labels.tolist() == [2, 1] and opened.captions == ["a dog", "b"]
    for label, words in (
        ([1.0, float("nan")], "no label in 1 of 2 rows: 1"),
        ([1.0, 0.5], "column label holds 0.5 in row 1"),
        (["a", "nan"], "no label in 1 of 2 rows: 1"),
        (["", "a"], "no label in 1 of 2 rows: 0"),
    ):
        with pytest.raises(WaypointError, match=words):
            SOURCE(section(parquet(tmp_path / "1.parquet", label=label)))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"label": [[0, 1], [1, 0]]}, ["data.columns.label", "column label holds lists of int64", "label: null"]),
        ({"label": [{"id": 1}, {"id": 2}]}, ["data.columns.label", "structs"]),
        ({"Caption": [[["a"]], [["b"]]]}, ["data.columns.caption", "Caption", "lists of lists of string"]),
        ({"text": [[{"raw": "a"}], [{"raw": "b"}]]}, ["data.columns.caption", "lists of structs"]),
        ({"caption": [1, 2]}, ["data.columns.caption", "int64"]),
    ],
)
def test_columns_of_a_known_name_that_cannot_be_read_are_refused(tmp_path, columns, words):
    place = parquet(tmp_path / "0.parquet", **columns)
    refused(section(place), *words)
    assert SOURCE.check(section(place, columns={"label": None, "caption": None})) == 2


def test_a_column_that_is_passed_over_is_told(tmp_path):
    place = parquet(tmp_path / "0.parquet", text=[["a"], ["b"]], caption=[1, 2])
    with pytest.warns(
        WaypointWarning, match="data.columns.caption: column caption holds int64, .*text is read instead"
    ):
        SOURCE.check(section(place))
