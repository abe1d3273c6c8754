"""A zip archive of images is read in place, by the same rules as a folder."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from waypoint.errors import WaypointError
from waypoint.store.data.containers import Folder, open_container
from waypoint.store.data.sources import SOURCES

SOURCE = SOURCES["imagefolder"]


def png(i):
    out = io.BytesIO()
    Image.fromarray(picture(i)).save(out, "PNG")
    return out.getvalue()


def picture(i):
    return np.random.default_rng(i).integers(0, 256, (6, 6, 3), np.uint8)


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in members:
            archive.writestr(name, raw)
    return path


def opened(path):
    section = {"source": "imagefolder", "path": str(path), "captions": None, "size": None}
    SOURCE.check(section)
    return SOURCE(section)


def refused(path, *words):
    with pytest.raises(WaypointError) as caught:
        found = opened(path)
        [found.read(i) for i in range(found.n)]
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_a_zip_of_a_mac_with_classes(tmp_path):
    left = [("photos/.DS_Store", b"x"), ("__MACOSX/photos/b/._1.png", b"x"), ("photos/b/._1.png", b"x")]
    left += [("photos/.ipynb_checkpoints/0.png", png(9)), ("photos/Thumbs.db", b"x"), ("photos/b/", b"")]
    path = zipped(tmp_path / "photos.zip", [("photos/b/1.png", png(1)), *left, ("photos/a/0.png", png(0))])
    found = opened(path)
    assert found.files == ["a/0.png", "b/1.png"] and found.class_names == ["a", "b"] and found.labels.tolist() == [0, 1]
    for i in (1, 0):
        assert np.array_equal(found.read(i), picture(i).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)
    assert found.read_from([0]) == [str(path)]


def test_names_as_windows_writes_them(tmp_path):
    path = zipped(tmp_path / "a.ZIP", [("cat\\0.png", png(0)), ("dog\\1.png", png(1))])
    assert opened(path).files == ["cat/0.png", "dog/1.png"]


def test_a_folder_whose_name_ends_in_zip_is_a_folder(tmp_path):
    (tmp_path / "photos.zip").mkdir()
    (tmp_path / "photos.zip/0.png").write_bytes(png(0))
    assert isinstance(open_container(str(tmp_path / "photos.zip")), Folder) and opened(tmp_path / "photos.zip").n == 1


def test_damaged_and_locked_archives(tmp_path):
    (tmp_path / "no.zip").write_bytes(b"no zip")
    refused(tmp_path / "no.zip", "no.zip is not a readable zip archive")
    path = zipped(tmp_path / "a.zip", [("0.png", png(0)), ("1.png", png(1))])
    raw = bytearray(path.read_bytes())
    raw[60] ^= 255  # within the first member
    path.write_bytes(raw)
    refused(path, "a.zip: 0.png", "unpacked")
    path = zipped(tmp_path / "b.zip", [("0.png", png(0))])
    raw = bytearray(path.read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(raw)
    refused(path, "password", "1 of 1 files", f"`unzip {path}`")
    refused(zipped(tmp_path / "c.zip", [("0.txt", "x")]), "no images", "1 .txt")
    with pytest.warns(UserWarning):
        path = zipped(tmp_path / "d.zip", [("0.png", png(0)), ("0.png", png(1))])
    refused(path, "0.png twice")


def test_names_that_lead_out_are_no_images(tmp_path):
    refused(zipped(tmp_path / "a.zip", [("../0.png", png(0)), ("/1.png", png(1))]), "no images")
