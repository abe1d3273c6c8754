"""Archives as programs write them: names, folders around everything, links, and tar files that end wrongly."""

import io
import stat
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.data.sources import SOURCES


def png(value):
    out = io.BytesIO()
    Image.new("L", (4, 4), value).save(out, "PNG")
    return out.getvalue()


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, png(content) if isinstance(content, int) else content)
    return path


def tarred(path, first, n):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for i in range(first, first + n):
            for suffix, raw in (("png", png(i)), ("txt", f"caption {i}".encode())):
                entry = tarfile.TarInfo(f"{i:03}.{suffix}")
                entry.size = len(raw)
                archive.addfile(entry, io.BytesIO(raw))
    return path


def checked(path, source="imagefolder", **more):
    places = list(map(str, path)) if isinstance(path, list) else str(path)
    section = {"source": source, "path": places, "captions": None, "size": None} | more
    SOURCES[source].check(section)
    found = SOURCES[source](section)
    for i in range(found.n):
        found.read(i)
    return found


def refused(path, *words, source="imagefolder", **more):
    with pytest.raises(WaypointError) as caught:
        checked(path, source, **more)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def warned(path, **more):
    """The images, and the warnings at planning as one text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", WaypointWarning)
        section = {"source": "imagefolder", "path": str(path), "captions": None, "size": None} | more
        SOURCES["imagefolder"].check(section)
    texts = [str(warning.message) for warning in caught if issubclass(warning.category, WaypointWarning)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return checked(path, **more), " ".join(texts)


# ---- zip archives


def renamed(path, old, new):
    path.write_bytes(path.read_bytes().replace(old, new))
    return path


def test_names_in_utf8_without_the_mark_of_it(tmp_path):
    path = renamed(zipped(tmp_path / "a.zip", {"cafXX/1.png": 1, "tea/2.png": 2}), b"cafXX", "café".encode())
    found, text = warned(path)
    assert found.files == ["café/1.png", "tea/2.png"] and found.class_names == ["café", "tea"] and not text
    assert found.read(0).max() == np.float32(1) / np.float32(127.5) - 1
    found, text = warned(zipped(tmp_path / "b.zip", {"café/1.png": 1, "tea/2.png": 2}))  # marked
    assert found.class_names == ["café", "tea"] and not text


def test_names_of_dos_are_read_with_a_warning(tmp_path):
    path = renamed(zipped(tmp_path / "a.zip", {"cafX/1.png": 1, "tea/2.png": 2}), b"cafX", b"caf\x82")
    found, text = warned(path)
    assert found.class_names == ["café", "tea"]
    assert "a.zip: 1 names are not UTF-8" in text and "café/1.png" in text and "unzip -O" in text


@pytest.mark.parametrize("beside", ["README.md", "LICENSE", "data.txt", "1.txt", "labels.xlsx"])
def test_other_files_beside_a_folder_around_all_images(tmp_path, beside):
    found, text = warned(zipped(tmp_path / "a.zip", {"data/cat/1.png": 1, "data/dog/2.png": 2, beside: "x"}))
    assert found.files == ["cat/1.png", "dog/2.png"] and found.class_names == ["cat", "dog"]
    assert ("1 .xlsx" in text) == (beside == "labels.xlsx") == bool(text)


def test_metadata_at_the_top_names_whole_paths(tmp_path):
    table = "file_name,text\ndata/1.png,one\ndata/2.png,two\n"
    found, _ = warned(zipped(tmp_path / "a.zip", {"data/1.png": 1, "data/2.png": 2, "metadata.csv": table}))
    assert found.files == ["data/1.png", "data/2.png"] and found.captions == ["one", "two"]


def test_several_folders_around_all_images(tmp_path):
    found, text = warned(zipped(tmp_path / "a.zip", {"photos/photos/cat/1.png": 1, "photos/photos/dog/2.png": 2}))
    assert found.files == ["cat/1.png", "dog/2.png"] and found.class_names == ["cat", "dog"]
    assert "photos/photos/" in text
    found, text = warned(zipped(tmp_path / "b.zip", {"photos/cat/1.png": 1, "photos/cat/2.png": 2}))
    assert found.files == ["cat/1.png", "cat/2.png"] and found.class_names == ["cat"] and not text


@pytest.mark.parametrize("names", [("data/1.png", "data/2.png"), ("1.png", "2.png")])
def test_a_table_may_name_files_with_or_without_the_folder_around_them(tmp_path, names):
    table = tmp_path / "table.csv"
    table.write_text("file,caption\n" + "".join(f"{name},{name}\n" for name in names))
    found, _ = warned(
        zipped(tmp_path / "a.zip", {"data/1.png": 1, "data/2.png": 2, "README.md": "x"}), captions=str(table)
    )
    assert found.files == list(names) == found.captions
    assert [round((found.read(i).max() + 1) * 127.5) for i in range(2)] == [1, 2]


def test_links_in_a_zip_are_refused_by_its_directory(tmp_path):
    link = zipfile.ZipInfo("2.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    refused(zipped(tmp_path / "a.zip", {"1.png": 1, link: "1.png"}), "holds 1 links: 2.png", "`unzip", "a.zip")


def test_an_unknown_compression_is_refused_by_the_directory(tmp_path):
    path = zipped(tmp_path / "a.zip", {"1.png": 1, "2.png": 2})
    raw = bytearray(path.read_bytes())
    for mark, at in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        raw[raw.index(mark) + at] = 9  # Deflate64
    path.write_bytes(raw)
    with pytest.raises(WaypointError, match=r"a\.zip holds 1 files.*type 9\): 1\.png; unpack it.*`7z x"):
        SOURCES["imagefolder"].check({"source": "imagefolder", "path": str(path), "captions": None, "size": None})


def test_one_class_that_holds_folders_is_told(tmp_path):
    for name in ("images/cat/1.png", "images/dog/2.png"):
        (tmp_path / "a" / name).parent.mkdir(parents=True)
        (tmp_path / "a" / name).write_bytes(png(1))
    found, text = warned(tmp_path / "a")
    assert found.class_names == ["images"]
    assert "one class, images" in text and "(cat, dog)" in text and f"name {tmp_path}/a/images" in text
    assert warned(tmp_path / "a/images")[1] == ""


def test_texts_that_look_like_captions_are_counted(tmp_path):
    names = ("1.png.txt", "1.json", "Metadata.csv", "metadata.tsv", "README.md", "classes.txt", "notes.json")
    (tmp_path / "1.png").write_bytes(png(1))
    for name in names:
        (tmp_path / name).write_text("x")
    _, text = warned(tmp_path)
    assert f"4 files under {tmp_path} that may hold captions or labels are not read" in text
    assert all((name in text) == (k < 4) for k, name in enumerate(names))
    (tmp_path / "t.csv").write_text("file,caption\n1.png,one\n")
    assert warned(tmp_path, captions=str(tmp_path / "t.csv"))[1] == ""


def test_captions_that_are_read_are_not_counted(tmp_path):
    for name, content in {"1.png": png(1), "1.txt": b"one", "metadata.csv": b"file_name,label\n1.png,a\n"}.items():
        (tmp_path / name).write_bytes(content)
    found, text = warned(tmp_path)
    assert found.captions == ["one"] and found.class_names == ["a"] and text == ""


# ---- tar files


def webdataset(path):
    return checked(path, "webdataset", columns=None)


def test_a_tar_file_cut_anywhere_is_refused(tmp_path):
    raw = tarred(tmp_path / "a.tar", 0, 3).read_bytes()
    end = len(raw.rstrip(b"\0")) // 512 * 512 + 512  # where the blocks of zeros begin
    for cut in range(0, end, 256):
        (tmp_path / "b.tar").write_bytes(raw[:cut])
        refused(tmp_path / "b.tar", "b.tar", source="webdataset")
    for cut in (end + 512, end + 1024, len(raw)):
        (tmp_path / "b.tar").write_bytes(raw[:cut])
        assert webdataset(tmp_path / "b.tar").n == 3
    (tmp_path / "b.tar").write_bytes(raw[:end])
    refused(tmp_path / "b.tar", "b.tar", "cut short", source="webdataset")


def test_a_cut_tar_among_others_is_refused_at_planning(tmp_path):
    for k in range(3):
        tarred(tmp_path / f"{k}.tar", k, 1)
    raw = (tmp_path / "2.tar").read_bytes()
    (tmp_path / "2.tar").write_bytes(raw[:600])
    with pytest.raises(WaypointError, match=r"2\.tar is not a readable tar file, or is cut short.*download it again"):
        SOURCES["webdataset"].check({"source": "webdataset", "path": str(tmp_path), "columns": None})


def test_a_damaged_header_is_refused(tmp_path):
    path = tarred(tmp_path / "a.tar", 0, 3)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"001.png") + 148] ^= 1  # the checksum of the header
    path.write_bytes(raw)
    refused(path, "a.tar is damaged after 000.txt", source="webdataset")


def test_two_tar_files_in_one_are_refused(tmp_path):
    path = tmp_path / "c.tar"
    path.write_bytes(tarred(tmp_path / "a.tar", 0, 3).read_bytes() + tarred(tmp_path / "b.tar", 3, 4).read_bytes())
    refused(path, "c.tar goes on after its end", "002.txt", "tar -xif", source="webdataset")


def test_a_tar_file_named_twice_is_refused(tmp_path):
    a, b = tarred(tmp_path / "a/0.tar", 0, 2), tarred(tmp_path / "a/1.tar", 2, 2)
    refused([a, tmp_path / "a/*.tar"], "more than once", "a/0.tar", source="webdataset")
    assert webdataset([a, b]).files == [f"{i // 2}.tar/{i:03}.png" for i in range(4)]


def test_two_tar_files_of_one_name_have_different_names(tmp_path):
    found = webdataset([tarred(tmp_path / "d/a/0.tar", 0, 1), tarred(tmp_path / "d/b/0.tar", 0, 1)])
    assert found.files == ["a/0.tar/000.png", "b/0.tar/000.png"]


def test_suffixes_in_capitals(tmp_path):
    assert webdataset(tarred(tmp_path / "a/A.TAR", 0, 2)).n == webdataset(tmp_path / "a").n == 2
    (tmp_path / "b").mkdir()
    (tmp_path / "b/B.TAR.GZ").write_bytes(b"x")
    refused(tmp_path / "b", "B.TAR.GZ", "gunzip", source="webdataset")
