"""prepare_data: which images enter data/train.zarr, and which of their captions."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import run_script

from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.artifacts.source_files import changed_source
from waypoint.store.zarr.reader import open_store

N = 12


SECTION = {"source": "coco", "size": 8, "subset": None}


@pytest.fixture
def places(tmp_path):
    """A coco source of twelve images; image 3k + 1 is image 3k made a little brighter, 3k + 2 a picture of its own."""
    (tmp_path / "images").mkdir()
    rng, pixels = np.random.default_rng(0), None
    for i in range(N):
        pixels = pixels + 2 if i % 3 == 1 else rng.integers(0, 250, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"images/{i}.png")
    images = [{"id": i, "file_name": f"{i}.png"} for i in range(N)]
    captions = [{"image_id": i, "caption": f"{i}: {k}"} for i in range(N) for k in range(5)]
    (tmp_path / "captions.json").write_text(json.dumps({"images": images, "annotations": captions}))
    return {"path": str(tmp_path / "images"), "captions": str(tmp_path / "captions.json")}


def prepared(tmp_path, places, seed=0, **changes):
    out = tmp_path / f"{len(list(tmp_path.iterdir()))}.zarr"
    run_script("prepare_data", spec={"seed": seed, "data": {**SECTION, **changes}}, places=json.dumps(places), out=out)
    return open_store(out)


def rows(found):
    return found["source_index"][:].tolist()


def captions(found):
    """{source index: stored caption}."""
    return dict(zip(rows(found), map(str, found["caption"][:])))


def test_the_content_is_the_hash_of_captions_and_images(tmp_path, places):
    found = prepared(tmp_path, places)
    content = "\0".join(map(str, found["caption"][:])).encode() + found["image"][:].tobytes()
    assert found.attrs["sha256"] == hashlib.sha256(content).hexdigest()


def test_each_image_keeps_one_of_its_captions_whatever_the_subset(tmp_path, places):
    whole, again = (captions(prepared(tmp_path, places)) for _ in range(2))
    assert whole == again and len({text.split(": ")[1] for text in whole.values()}) > 2
    assert all(text.split(": ")[0] == str(i) for i, text in whole.items())
    some = captions(prepared(tmp_path, places, subset=[2, 5, 7]))
    assert some == {i: whole[i] for i in (2, 5, 7)}
    sample = captions(prepared(tmp_path, places, subset=6))
    assert sample == {i: whole[i] for i in sample}
    assert captions(prepared(tmp_path, places, seed=1)) != whole


def test_near_duplicates_are_left_out_before_a_subset_is_taken(tmp_path, places):
    whole = prepared(tmp_path, places)
    left = [i for i in range(N) if i % 3 != 1]
    found = prepared(tmp_path, places, near_duplicates=0.01)  # 2/255 is 0.008
    assert rows(found) == left and captions(found) == {i: captions(whole)[i] for i in left}
    assert np.array_equal(found["image"][:], whole["image"][:][left])
    assert found["train"][:].tolist() == list(range(len(left)))
    assert rows(prepared(tmp_path, places, near_duplicates=0.01, subset=[1, 2, 7])) == [2, 3, 11]
    sample = rows(prepared(tmp_path, places, near_duplicates=0.01, subset=5))
    assert len(sample) == 5 and set(sample) <= set(left)
    assert rows(prepared(tmp_path, places, near_duplicates=0.007)) == list(range(N))


def test_a_subset_of_more_than_what_is_left_is_refused(tmp_path, places, capsys):
    with pytest.raises(SystemExit):
        prepared(tmp_path, places, near_duplicates=0.01, subset=9)
    assert "data.subset: 9 images asked for, without near-duplicates there are 8" in capsys.readouterr().err


@pytest.mark.parametrize("changed", ["images/4.png", "captions.json"])
def test_changed_images_or_captions_are_noticed(tmp_path, places, changed):
    out = tmp_path / "train.zarr"
    run_script("prepare_data", spec={"seed": 0, "data": SECTION}, places=json.dumps(places), out=out)
    record, sources = read_attributes(out)["source"], [places["path"], places["captions"]]
    assert record["paths"] == sources and changed_source(record, sources) is None
    file = tmp_path / changed
    file.write_bytes(file.read_bytes().replace(b"4", b"5") + b" ")
    assert "changed since it was read" in changed_source(record, sources)


def test_images_that_lie_elsewhere_are_the_same(tmp_path, places):
    """Where the raw data lies is no setting: neither the spec nor the hash of the content changes."""
    first = prepared(tmp_path, places)
    (tmp_path / "elsewhere").mkdir()
    moved = {"path": str(tmp_path / "elsewhere/pictures"), "captions": str(tmp_path / "elsewhere/captions.json")}
    for name, path in places.items():
        Path(path).rename(moved[name])
    again = prepared(tmp_path, moved)
    for name in ("spec", "identity", "sha256"):
        assert first.attrs[name] == again.attrs[name]
    assert changed_source(first.attrs["source"], list(moved.values())) is None


def test_images_keep_their_names_and_labels_those_of_their_classes(tmp_path):
    for name in ("cat/b/1.png", "cat/a.png", "ape/2.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4).save(tmp_path / "photos" / name)
    found = prepared(tmp_path, {"path": str(tmp_path / "photos"), "captions": None}, source="imagefolder")
    assert found["file"][:].tolist() == ["ape/2.png", "cat/a.png", "cat/b/1.png"]
    assert found["file"].metadata.dimension_names == ("train",)
    assert found["label"].attrs["class_names"] == ["ape", "cat"] and found["label"][:].tolist() == [0, 1, 1]
    digits = prepared(tmp_path, {"path": None, "captions": None}, source="digits", subset=[3, 1796])
    assert digits["file"][:].tolist() == ["digits/3", "digits/1796"] and digits.attrs["source"] is None
    assert digits["label"].attrs["class_names"] == list("0123456789")


def test_only_the_images_that_were_read_are_recorded(tmp_path, places):
    some = prepared(tmp_path, places, subset=[2, 5])
    (tmp_path / "images/7.png").write_bytes(b"another")
    assert changed_source(some.attrs["source"], list(places.values())) is None
    (tmp_path / "images/5.png").write_bytes(b"another")
    assert "5.png changed since it was read" in changed_source(some.attrs["source"], list(places.values()))
    assert some.attrs["source"]["files"]["number"] == 3


@pytest.mark.parametrize("levels, told", [(16, True), (31, True), (40, False)])
def test_a_set_in_less_than_an_eighth_of_the_range_gets_a_warning(tmp_path, capsys, levels, told):
    np.savez(tmp_path / "dark.npz", image=(np.arange(2 * 64) % (levels + 1)).astype(np.uint8).reshape(2, 8, 8))
    prepared(tmp_path, {"path": str(tmp_path / "dark.npz"), "captions": None}, source="npz")
    assert ("less than an eighth of the range" in capsys.readouterr().err) == told


def test_all_images_that_cannot_be_read_are_told_at_once(tmp_path, places, capsys):
    for i in (3, 4, 8):
        (tmp_path / f"images/{i}.png").write_bytes(b"<html>404</html>")
    with pytest.raises(SystemExit):
        prepared(tmp_path, places)
    said = capsys.readouterr().err
    assert "3 images cannot be used" in said and all(f"{i}.png is not a readable image" in said for i in (3, 4, 8))


def test_more_than_ten_are_counted_and_one_is_told_alone(tmp_path, places, capsys):
    (tmp_path / "images/3.png").write_bytes(b"")
    with pytest.raises(SystemExit):
        prepared(tmp_path, places)
    assert "cannot be used" not in (said := capsys.readouterr().err) and "3.png" in said
    for i in range(11):
        (tmp_path / f"images/{i}.png").write_bytes(b"")
    with pytest.raises(SystemExit):
        prepared(tmp_path, places)
    said = capsys.readouterr().err
    assert "11 images cannot be used" in said and said.count("not a readable image") == 10 and "and 1 more" in said
