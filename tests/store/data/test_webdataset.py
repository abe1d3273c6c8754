"""Source webdataset against tar files packed here: members of one name, whatever lies beside the image."""

import gzip
import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from waypoint.errors import WaypointError
from waypoint.store.data.sources import SOURCES

SOURCE = SOURCES["webdataset"]


def picture(i):
    return np.random.default_rng(i).integers(0, 256, (6, 6, 3), np.uint8)


def png(i):
    out = io.BytesIO()
    Image.fromarray(picture(i)).save(out, "PNG")
    return out.getvalue()


def packed(path, members):
    """A tar file of (name, bytes or text)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, raw in members:
            raw = raw.encode() if isinstance(raw, str) else raw
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            tar.addfile(entry, io.BytesIO(raw))
    return path


def shard(path, start, n, *beside):
    """Samples start, …, start + n − 1 with an image each and what ``beside`` (suffix, function of i) gives."""
    made = [
        [(f"{i:03}.png", png(i)), *((f"{i:03}.{suffix}", make(i)) for suffix, make in beside)]
        for i in range(start, start + n)
    ]
    return packed(path, [member for sample in made for member in sample])


def checked(path, **columns):
    places = [str(p) for p in path] if isinstance(path, list) else str(path)
    found = {"source": "webdataset", "path": places, "size": None, "columns": columns or None}
    SOURCE.check(found)
    return SOURCE(found)


def refused(path, *words, **columns):
    with pytest.raises(WaypointError) as caught:
        checked(path, **columns)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def require_images(opened, numbers):
    assert opened.n == len(numbers)
    for k in reversed(range(opened.n)):
        assert np.array_equal(opened.read(k), picture(numbers[k]).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)


TEXT, CLASS = ("txt", lambda i: f"picture {i}\n"), ("cls", lambda i: str(i % 3))


@pytest.fixture
def tars(tmp_path):
    shard(tmp_path / "tars/shard-000000.tar", 0, 3, TEXT, CLASS)
    shard(tmp_path / "tars/shard-000001.tar", 3, 2, TEXT, CLASS)
    (tmp_path / "tars/.hidden.tar").write_bytes(b"")
    (tmp_path / "tars/README.md").write_text("what this is")
    return tmp_path / "tars"


def test_a_folder_a_pattern_a_range_and_a_list(tars):
    both = [tars / "shard-000000.tar", tars / "shard-000001.tar"]
    for path in (tars, tars / "shard-*.tar", tars / "shard-{000000..000001}.tar", both):
        opened = checked(path)
        require_images(opened, range(5))
        assert opened.captions == [f"picture {i}" for i in range(5)]
        assert opened.labels.tolist() == [0, 1, 2, 0, 1] and opened.class_names == ["0", "1", "2"]
        assert opened.files[0] == "shard-000000.tar/000.png" and opened.files[4] == "shard-000001.tar/004.png"
    require_images(checked(list(reversed(both))), [3, 4, 0, 1, 2])
    require_images(checked(both[1]), [3, 4])


def test_members_of_one_sample_may_lie_apart(tmp_path):
    members = [("a/1.txt", "one"), ("a/2.png", png(2)), ("a/1.png", png(1)), ("a/2.txt", "two")]
    opened = checked(packed(tmp_path / "a.tar", members))
    require_images(opened, [1, 2])
    assert opened.captions == ["one", "two"] and opened.files == ["a.tar/a/1.png", "a.tar/a/2.png"]


def test_json_beside_the_image(tmp_path):
    path = shard(
        tmp_path / "a.tar", 0, 2, ("json", lambda i: json.dumps({"caption": f"c{i}", "label": "ba"[i], "t": "7"}))
    )
    opened = checked(path)
    assert opened.captions == ["c0", "c1"] and opened.class_names == ["a", "b"] and opened.labels.tolist() == [1, 0]
    opened = checked(path, caption="json.t", label=None)
    assert opened.captions == ["7", "7"] and opened.labels is None
    refused(path, "data.columns.caption", "json.title", caption="json.title")
    refused(path, "data.columns.caption", ".txt", "png, json", caption="txt")
    several = shard(tmp_path / "b.tar", 0, 1, ("json", lambda i: json.dumps({"caption": ["one", "two"]})))
    assert checked(several).captions == [["one", "two"]]


def test_a_text_file_goes_before_json(tmp_path):
    path = shard(tmp_path / "a.tar", 0, 1, TEXT, ("json", lambda i: json.dumps({"caption": "other"})))
    assert checked(path).captions == ["picture 0"] and checked(path, caption="json.caption").captions == ["other"]


def test_images_alone(tmp_path):
    opened = checked(shard(tmp_path / "a.tar", 0, 2))
    assert opened.captions is None and opened.labels is None and opened.class_names is None


def test_suffixes_in_capitals_and_several_images(tmp_path):
    require_images(checked(packed(tmp_path / "a.tar", [("0.PNG", png(0)), ("./b/1.Png", png(1))])), [0, 1])
    path = packed(tmp_path / "b.tar", [("0.input.png", png(0)), ("0.mask.png", png(1))])
    refused(path, "1 of 1 samples have several images", "b.tar/0", "input.png, mask.png", "{image: SUFFIX}")
    require_images(checked(path, image="mask.png"), [1])


@pytest.mark.parametrize(
    "members, words",
    [
        ([("0.png", png(0)), ("1.txt", "x")], ["1 of 2 samples have no image", "a.tar/1", "txt"]),
        ([("0.png", png(0)), ("1.png", png(1)), ("1.txt", "x")], ["data.columns.caption", "1 of 2", "a.tar/0", "null"]),
        ([("0.png", png(0)), ("0.txt", " \n")], ["data.columns.caption"]),
        ([("0.png", png(0)), ("1.png", png(1)), ("1.cls", "4")], ["data.columns.label", "1 of 2", "a.tar/0"]),
        ([("0.png", png(0)), ("0.txt", b"\xff\xfe")], ["a.tar/0.txt", "cannot be read"]),
        ([("0.png", png(0)), ("0.json", "[1]")], ["a.tar/0.json", "cannot be read"]),
        ([("0.png", png(0)), ("0.png", png(1))], ["0.png twice"]),
        ([("0.txt", "x")], ["holds no images", "txt"]),
        ([], ["holds no images"]),
    ],
)
def test_what_lacks_something_is_told_with_a_count(tmp_path, members, words):
    path = packed(tmp_path / "a.tar", members)
    if words == ["data.columns.caption"]:  # the only side file is empty: as good as none
        assert checked(path).captions is None
    else:
        refused(path, *words)


def test_links_are_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        entry = tarfile.TarInfo("0.png")
        entry.type, entry.linkname = tarfile.SYMTYPE, "1.png"
        tar.addfile(entry)
    refused(tmp_path / "a.tar", "0.png is a link")


def test_files_of_other_kinds(tmp_path, tars):
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress((tars / "shard-000000.tar").read_bytes()))
    refused(tmp_path / "a.tar.gz", "compressed", f"`gunzip {tmp_path}/a.tar.gz`")
    (tmp_path / "b.tar").write_bytes(b"no tar")
    refused(tmp_path / "b.tar", "b.tar is not a readable tar file")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/a.png").write_bytes(png(0))
    refused(tmp_path / "pictures", "holds no tar files", "1 .png")
    refused(tmp_path / "gone-*.tar", "no file matches")
    refused(tmp_path / "shard-{3..1}.tar", "{3..1}")
    half = (tars / "shard-000000.tar").read_bytes()[:700]
    (tmp_path / "half.tar").write_bytes(half)
    refused(tmp_path / "half.tar", "half.tar")


def test_what_is_read_is_the_tar_files_alone(tars, tmp_path):
    found = {"source": "webdataset", "path": str(tars), "size": None, "columns": None}
    assert SOURCE.paths(found) == sorted(map(str, tars.glob("shard-*"))) == SOURCE(found).read_from([0])
    assert SOURCE.there(found) == SOURCE.paths(found)
    shutil.rmtree(tars)
    assert SOURCE.there(found) == []


def test_a_tar_file_of_many_images_is_not_gone_through_at_planning(tmp_path, monkeypatch):
    path = packed(tmp_path / "a.tar", [(f"{i}.png", b"") for i in range(3000)])
    seen = []
    following = tarfile.TarFile.next
    monkeypatch.setattr(tarfile.TarFile, "next", lambda self: seen.append(1) or following(self))
    SOURCE.check({"source": "webdataset", "path": str(path), "size": None, "columns": None})
    assert len(seen) < 1100 and Path(path).exists()
