"""Which files of a folder are data."""

import os
import warnings

import numpy as np
import pytest
from PIL import Image

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.data.imagefolder import listed
from waypoint.store.data.listing import readable, walk


def put(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(root / name, "PNG")
    return root


def folder(root, captions=None):
    return listed({"path": str(root), "captions": captions})


def warned(root):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", WaypointWarning)
        folder(root)
    return " ".join(str(warning.message) for warning in found)


def test_what_machines_leave_behind_is_no_data(tmp_path):
    put(tmp_path, "a/1.png", "a/.1.png", "a/._1.png", ".ipynb_checkpoints/1.png", "__MACOSX/a/1.png", "@eaDir/1.png")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store"):
        (tmp_path / name).touch()
    assert walk(tmp_path) == ["a/1.png"] and folder(tmp_path).class_names == ["a"] and warned(tmp_path) == ""


def test_what_waypoint_made_is_no_data(tmp_path):
    put(tmp_path, "1.png", "results/x/figures/panel.png", "results/x/train.zarr/c.png", "results/x/full/0/loss.png")
    (tmp_path / "results/x/figures/.panel.png.json").touch()
    (tmp_path / "results/x/full/0/waypoint.json").touch()
    assert walk(tmp_path) == ["1.png"]


def test_links_are_followed_in_the_order_of_their_own_names(tmp_path):
    put(tmp_path / "raw", "cat/2.png", "dog/1.png")
    root = tmp_path / "train"
    (root / "b").mkdir(parents=True)
    os.symlink(tmp_path / "raw/cat", root / "a")
    os.symlink(tmp_path / "raw/dog/1.png", root / "b/0.png")
    found = folder(root)
    assert found.files == ["a/2.png", "b/0.png"] and found.labels.tolist() == [0, 1]


def test_a_loop_and_a_link_to_nowhere_are_named(tmp_path):
    put(tmp_path, "a/1.png")
    os.symlink(tmp_path / "gone.png", tmp_path / "a/2.png")
    with pytest.raises(WaypointError, match=r"lead nowhere: a/2\.png"):
        walk(tmp_path)
    (tmp_path / "a/2.png").unlink()
    os.symlink(tmp_path, tmp_path / "a/up")
    with pytest.raises(WaypointError, match="a/up is a link to .*, which it lies in"):
        walk(tmp_path)


def test_a_folder_that_is_linked_twice_is_no_loop(tmp_path):
    put(tmp_path / "raw", "1.png")
    for name in "ab":
        os.symlink(tmp_path / "raw", tmp_path / name)
    assert walk(tmp_path) == ["a/1.png", "b/1.png", "raw/1.png"]


def test_the_order_is_that_of_paths(tmp_path):
    put(tmp_path, "a/b.png", "a-b.png", "a.png", "B.png")
    assert (
        walk(tmp_path)
        == sorted(walk(tmp_path), key=lambda name: name.split("/"))
        == ["B.png", "a/b.png", "a-b.png", "a.png"]
    )


def test_names_that_are_no_utf8_are_shown_and_refused(tmp_path):
    put(tmp_path, "a.png")
    os.rename(tmp_path / "a.png", os.fsencode(tmp_path) + b"/caf\xe9.png")
    with pytest.raises(WaypointError, match=r"no UTF-8, such as caf\\udce9.png; rename"):
        folder(tmp_path)


def test_everything_that_pillow_reads_is_read(tmp_path):
    assert {".png", ".jpg", ".jfif", ".avif", ".tga", ".pgm", ".jp2", ".ico", ".psd"} <= readable()
    assert not {".h5", ".eps", ".pdf", ".mpg"} & readable()
    put(tmp_path, "a.JFIF", "b.ppm")
    assert folder(tmp_path).files == ["a.JFIF", "b.ppm"]


def test_images_that_are_not_read_are_named_with_the_command_that_converts_them(tmp_path):
    for k in range(12):
        (tmp_path / f"{k}.HEIC").touch()
    with pytest.raises(WaypointError, match=r"12 \.heic\. `magick mogrify -format png '\*\.HEIC'`"):
        folder(tmp_path)
    put(tmp_path, "a.png")
    assert "12 files" in warned(tmp_path) and "12 .heic" in warned(tmp_path)
    (tmp_path / "t.csv").write_text("file,label\na.png,1\n3.HEIC,2\n")
    with pytest.raises(WaypointError, match=r"line 3: 3\.HEIC is not an image that Pillow can read.*magick"):
        folder(tmp_path, str(tmp_path / "t.csv"))


def test_folders_that_look_like_splits_get_a_word(tmp_path):
    put(tmp_path / "z", "train/cat/a.png", "test/cat/b.png")
    assert "classes" in warned(tmp_path / "z") and "test, train" in warned(tmp_path / "z")
