"""Source huggingface against data sets that the library itself wrote, and parquet that pyarrow wrote."""

import gc
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from waypoint.errors import WaypointError
from waypoint.store.artifacts.source_files import changed_source
from waypoint.store.data.huggingface import hub_id
from waypoint.store.data.sources import SOURCES

datasets = pytest.importorskip("datasets")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

SOURCE = SOURCES["huggingface"]
N = 5


def picture(i):
    return np.random.default_rng(i).integers(0, 256, (6, 6, 3), np.uint8)


def png(i):
    out = io.BytesIO()
    Image.fromarray(picture(i)).save(out, "PNG")
    return out.getvalue()


def section(path, **more):
    found = {"source": "huggingface", "path": path if isinstance(path, list) else str(path), "size": None}
    return {**found, "columns": None, "split": None, "configuration": None, **more}


def made(n=N, **columns):
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    features["text"] = datasets.Value("string")
    rows = {"image": [{"bytes": png(i), "path": f"{i}.png"} for i in range(n)], "label": [i % 2 for i in range(n)]}
    rows["text"] = [f"picture {i}" for i in range(n)]
    return datasets.Dataset.from_dict(rows, features=datasets.Features(features))


def checked(found, **more):
    SOURCE.check(found)
    return SOURCE(found)


def require_right(opened, n=N):
    assert opened.n == n and opened.files == [f"{i}.png" for i in range(n)]
    for i in (n - 1, 0, 1):  # in any order
        assert np.array_equal(opened.read(i), picture(i).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)
    assert opened.labels.tolist() == [i % 2 for i in range(n)] and opened.labels.dtype == np.int64
    assert opened.class_names == ["cat", "dog"] and opened.captions == [f"picture {i}" for i in range(n)]


def refused(found, *words):
    with pytest.raises(WaypointError) as caught:
        checked(found)
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.fixture
def saved(tmp_path):
    made().save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def splits(tmp_path):
    datasets.DatasetDict({"train": made(), "test": made(2)}).save_to_disk(tmp_path / "splits")
    return tmp_path / "splits"


@pytest.fixture
def parquet(tmp_path):
    (tmp_path / "parquet/data").mkdir(parents=True)
    rows = made()
    rows.select(range(3)).to_parquet(tmp_path / "parquet/data/train-00000-of-00002.parquet")
    rows.select(range(3, N)).to_parquet(tmp_path / "parquet/data/train-00001-of-00002.parquet")
    made(2).to_parquet(tmp_path / "parquet/data/test-00000-of-00001.parquet")
    return tmp_path / "parquet"


# ---- forms


def test_a_saved_folder(saved):
    require_right(checked(section(saved)))


def test_a_saved_folder_of_several_splits(splits):
    require_right(checked(section(splits)))
    require_right(checked(section(splits, split="test")), 2)
    refused(section(splits, split="val"), "data.split", "val", "train, test")
    refused(section(splits / "train", split="test"), "data.split", "one split")


def test_a_split_must_be_named_where_none_is_train(tmp_path):
    datasets.DatasetDict({"a": made(2), "b": made(2)}).save_to_disk(tmp_path / "ab")
    refused(section(tmp_path / "ab"), "data.split", "a, b")


def test_a_folder_of_parquet(parquet):
    require_right(checked(section(parquet)))
    require_right(checked(section(parquet, split="test")), 2)


def test_parquet_files_by_a_list_a_pattern_and_one(parquet):
    files = sorted(str(file) for file in parquet.rglob("train*"))
    require_right(checked(section(files)))
    require_right(checked(section(parquet / "data/train-*.parquet")))
    require_right(checked(section(parquet / "data/train-{00000..00001}-of-00002.parquet")))
    require_right(checked(section(files[0])), 3)
    refused(section(parquet / "data/train-{00000..00002}-of-00002.parquet"), "there is no", "train-00002")


def test_parquet_that_pyarrow_wrote_without_types(tmp_path):
    rows = {
        "image": [{"bytes": png(i), "path": f"{i}.png"} for i in range(3)],
        "text": [f"picture {i}" for i in range(3)],
    }
    pq.write_table(pa.table(rows | {"label": ["b", "a", "b"]}), tmp_path / "a.parquet")
    opened = checked(section(tmp_path / "a.parquet"))
    assert (
        opened.class_names == ["a", "b"] and opened.labels.tolist() == [1, 0, 1] and opened.captions[2] == "picture 2"
    )
    assert opened.files == ["0.png", "1.png", "2.png"]
    pq.write_table(pa.table({"picture": [png(0), png(1)], "label": [3, 0]}), tmp_path / "b.parquet")
    opened = checked(section(tmp_path / "b.parquet"))
    assert opened.labels.tolist() == [3, 0] and opened.captions is None and opened.files == ["0", "1"]
    assert np.array_equal(opened.read(1), picture(1).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)


def test_images_that_a_saved_folder_only_points_to(tmp_path):
    (tmp_path / "7.png").write_bytes(png(7))
    rows = datasets.Dataset.from_dict({"image": [str(tmp_path / "7.png")]}).cast_column("image", datasets.Image())
    rows.save_to_disk(tmp_path / "saved")
    opened = checked(section(tmp_path / "saved"))
    assert opened.files == ["7.png"] and opened.labels is None and opened.captions is None
    assert np.array_equal(opened.read(0), picture(7).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)


def test_several_captions_of_an_image(tmp_path):
    texts = [["one", "two"], ["three", "nan"]]
    pq.write_table(pa.table({"image": [png(0), png(1)], "captions": texts}), tmp_path / "a.parquet")
    assert checked(section(tmp_path / "a.parquet")).captions == [["one", "two"], "three"]


# ---- columns


def test_columns_by_key(tmp_path):
    table = pa.table(
        {"pic": [png(0)], "thumb": [png(1)], "title": ["a"], "text": ["b"], "caption": ["c"], "kind": ["k"]}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    place = tmp_path / "a.parquet"
    refused(section(place), "data.columns.image", "pic, thumb")
    refused(section(place, columns={"image": "pic"}), "data.columns.caption", "text, caption", "caption: null")
    refused(section(place, columns={"image": "title"}), "data.columns.image", "title", "string")
    refused(section(place, columns={"image": "pics"}), "there is no column pics", "pic, thumb")
    refused(section(place, columns={"image": "pic", "caption": "thumb"}), "data.columns.caption", "binary")
    opened = checked(section(place, columns={"image": "thumb", "caption": "title", "label": "kind"}))
    assert opened.captions == ["a"] and opened.class_names == ["k"]
    assert np.array_equal(opened.read(0), picture(1).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)
    opened = checked(section(place, columns={"image": "pic", "caption": None, "label": None}))
    assert opened.captions is None and opened.labels is None


def test_several_class_labels(tmp_path):
    features = {"image": datasets.Image(), "fine": datasets.ClassLabel(names=list("ab"))}
    features["coarse"] = datasets.ClassLabel(names=list("xy"))
    rows = {"image": [{"bytes": png(0), "path": None}], "fine": [1], "coarse": [0]}
    datasets.Dataset.from_dict(rows, features=datasets.Features(features)).save_to_disk(tmp_path / "s")
    refused(section(tmp_path / "s"), "data.columns.label", "fine, coarse")
    assert checked(section(tmp_path / "s", columns={"label": "fine"})).class_names == ["a", "b"]


@pytest.mark.parametrize(
    "column, cells, words",
    [
        ("image", [png(0), None], ["no image in 1 rows: 1"]),
        ("label", ["a", None], ["data.columns.label", "1 of 2 rows: 1", "label: null"]),
        ("text", [None, "x"], ["data.columns.caption", "1 of 2 rows: 0"]),
        ("text", ["x", " "], ["data.columns.caption", "1 of 2 rows: 1"]),
    ],
)
def test_rows_that_lack_something_are_told(tmp_path, column, cells, words):
    rows = {"image": [png(0), png(1)], "label": ["a", "b"], "text": ["one", "two"]}
    pq.write_table(pa.table(rows | {column: cells}), tmp_path / "a.parquet")
    refused(section(tmp_path / "a.parquet"), *words)


def test_a_class_label_of_minus_one_is_none(tmp_path):
    rows = made(2).to_dict() | {"label": [-1, 1]}
    datasets.Dataset.from_dict(rows, features=made(2).features).save_to_disk(tmp_path / "s")
    refused(section(tmp_path / "s"), "data.columns.label", "1 of 2 rows: 0")


# ---- what cannot be read


def test_places_that_are_no_data_sets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pictures").mkdir()
    Path("pictures/a.png").write_bytes(png(0))
    Path("a.tar").write_bytes(b"x")
    Path("broken.parquet").write_bytes(b"x")
    refused(section("pictures"), "imagefolder", "webdataset")
    refused(section("a.tar"), "a.tar", "parquet")
    refused(section("broken.parquet"), "broken.parquet", "cannot be read")
    for path in ("./nowhere", "/nowhere/at/all", "nowhere", "some/where.parquet", "pictures/nowhere", "a/b/c"):
        refused(section(path), "data.path", path, "owner/name")
    refused(section("pictures", configuration="x"), "data.configuration")


def test_a_folder_that_is_not_whole(saved):
    (saved / "state.json").unlink()
    refused(section(saved), "state.json is missing")


def test_without_the_library(saved, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refused(section(saved), "data.source", "datasets", "pip install -r envs/requirements-huggingface.txt")


# ---- the hub


@pytest.mark.parametrize(
    "path, found",
    [
        ("uoft-cs/cifar10", "uoft-cs/cifar10"),
        ("owner/name-v1.5", "owner/name-v1.5"),
        ("hf://datasets/owner/name", "owner/name"),
        ("./owner/name", None),
        ("/owner/name", None),
        ("owner", None),
        ("a/b/c", None),
        ("owner/a.tar", None),
        ("here/name", None),
        (["owner/name"], None),
    ],
)
def test_what_looks_like_a_hub_id(tmp_path, monkeypatch, path, found):
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    assert hub_id(section(path)) == found


def test_a_hub_data_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked, sha = [], "0123456789" * 4

    def load_dataset(path, name=None, split=None):
        asked.append((path, name, split))
        found = made()
        found.info.download_checksums = {f"hf://datasets/owner/name@{sha}/data/train.parquet": {}}
        return found if split else datasets.DatasetDict({"train": found, "test": made(2)})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    require_right(checked(section("owner/name")))
    found = section("owner/name", split="train[:5]", configuration="small")
    opened = checked(found)
    require_right(opened)
    assert asked == [("owner/name", None, None), ("owner/name", "small", "train[:5]")]
    record = SOURCE.recorded(found, opened, [0])
    assert record["revisions"] == [sha] and record["paths"] == ["owner/name"] and len(record["sha256"]) == 64
    assert SOURCE.there(found) == [] and changed_source(record, []) is None


def test_the_hub_cannot_be_reached(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def no_network(*_, **__):
        raise ConnectionError("Couldn't reach 'owner/name' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", no_network)
    refused(section("owner/name"), "cannot be reached", "hf download owner/name --repo-type dataset --local-dir")

    def unknown(*_, **__):
        raise datasets.exceptions.DatasetNotFoundError("Dataset 'owner/name' doesn't exist")

    monkeypatch.setattr(datasets, "load_dataset", unknown)
    refused(section("owner/name"), "the hub has no data set owner/name", "hf auth login")


# ---- what was read


def test_what_was_read_is_known_again(tmp_path, saved, parquet):
    for found in (section(saved), section(parquet)):
        record = SOURCE.recorded(found, SOURCE(found), range(N))
        copied = section(shutil.copytree(found["path"], tmp_path / f"{len(list(tmp_path.iterdir()))}"))
        assert changed_source(record, SOURCE.there(copied)) is None
        (Path(copied["path"]) / "cache-1234.arrow").write_bytes(b"the library's own")
        assert changed_source(record, SOURCE.there(copied)) is None
        file = Path(next(path for path in SOURCE.there(copied) if path.endswith((".arrow", ".parquet"))))
        file.write_bytes(file.read_bytes() + b"x")
        assert changed_source(record, SOURCE.there(copied))
        shutil.rmtree(copied["path"])
        assert SOURCE.there(copied) == []


def test_changed_parquet_of_the_same_date_is_read_anew(tmp_path):
    """The library's own cache knows files by their names and times."""
    file = tmp_path / "a.parquet"
    for text in ("one", "two"):
        pq.write_table(pa.table({"image": [png(0)], "text": [text]}), file)
        os.utime(file, (1_700_000_000, 1_700_000_000))
        assert checked(section(file)).captions == [text]


def test_the_temporary_copy_of_parquet_goes(tmp_path, parquet, monkeypatch):
    monkeypatch.setenv("WAYPOINT_SCRATCH", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    opened = checked(section(parquet))
    assert list((tmp_path / "scratch").iterdir())
    del opened
    gc.collect()
    assert not list((tmp_path / "scratch").iterdir())


def test_a_state_file_that_is_no_json_is_a_sentence(saved):
    (saved / "dataset_info.json").write_text("{")
    refused(section(saved), "dataset_info.json", "cannot be read")
    (saved / "dataset_info.json").write_text(json.dumps({"features": {}}))
    refused(section(saved), "data.columns.image")
