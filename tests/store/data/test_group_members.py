"""Which images are in a group: lists of names, patterns and indices; classes; and what is no group."""

import numpy as np
import pytest
from support import store

from waypoint.errors import WaypointError
from waypoint.store.data import group_members
from waypoint.store.data.group_members import classes_of, members, read_list
from waypoint.store.data.image_names import ImageNames, NameIndex, find
from waypoint.store.zarr.reader import open_store

FILES = ["ann/1.png", "ann/2.png", "bob/1.png", "bob/sea.png", "cy/1.png"]


def listed(tmp_path, text, name="x"):
    (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    return {name: str(tmp_path / f"{name}.txt")}


def told(files, lists, classes=None, by=None):
    return {name: images.tolist() for name, images in members(files, lists, classes, by).items()}


def test_a_list_has_names_ends_of_names_patterns_and_indices(tmp_path):
    lists = listed(tmp_path, "\ufeffann/*\n\n  sea.png \n4\nann/2.png\n")
    assert told(FILES, lists) == {"x": [0, 1, 3, 4]}


def test_groups_by_class_come_in_order_and_leave_out_who_has_none(tmp_path):
    classes = ["10", "2", "", "zoo", "2"]
    found = told(FILES, listed(tmp_path, "0\nann/2.png"), classes, "label")
    assert found == {"x": [0, 1], "2": [1, 4], "10": [0], "zoo": [3]} and list(found) == ["x", "2", "10", "zoo"]


def test_whole_names_ends_and_indices_are_looked_up_and_mean_what_find_says(tmp_path, monkeypatch):
    """A search through all names for every line takes minutes with 50,000 images."""
    files = [*(f"a/b/{i:03d}.png" for i in range(50)), "7", "b/000.png"]
    lines = [*files[:50], "b/004.png", "012.png", "3", "7", "b/000.png"]
    expected = {i for line in lines for i in find(files, line, "")}
    made = []
    monkeypatch.setattr(group_members, "NameIndex", lambda names: made.append(names) or NameIndex(names))
    assert set(told(files, listed(tmp_path, "\n".join([*lines[50:], *files[20:23]])))["x"]) < expected
    assert told(files, listed(tmp_path, "\n".join(lines[50:]))) == {"x": [3, 4, 12, 50, 51]}
    assert made == [files, files]  # once for each list


WRONG = {
    "no such name": ("ann/3.png", ["groups.files.x", "x.txt line 1", "'ann/3.png'", "nearest"]),
    "a name of several": ("0\n\n1.png", ["groups.files.x", "line 3", "fits 3 training images"]),
    "no such index": ("5", ["line 1", "no training image 5", "0 to 4"]),
    "a pattern of none": ("dan/*", ["line 1", "pattern 'dan/*'"]),
    "all images": ("*", ["group x holds all 5 training images"]),
    "nothing": ("\n \n", ["groups.files.x", "names no training image"]),
}


@pytest.mark.parametrize("text, words", WRONG.values(), ids=WRONG)
def test_what_is_no_group_is_told_with_file_and_line(tmp_path, text, words):
    with pytest.raises(WaypointError) as error:
        members(FILES, listed(tmp_path, text), None, None)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_list_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(WaypointError, match="groups.files.x: cannot read .*none.txt"):
        read_list(str(tmp_path / "none.txt"), "groups.files.x")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WaypointError, match="cannot read"):
        read_list(str(tmp_path / "bytes.txt"), "groups.files.x")


def test_one_name_for_two_groups_is_refused(tmp_path):
    with pytest.raises(WaypointError, match="groups.files.zoo: groups.by makes a group of this name"):
        members(FILES, listed(tmp_path, "0", "zoo"), ["zoo", "a", "a", "a", "a"], "label")


def test_images_without_labels_have_no_groups_by_label():
    with pytest.raises(WaypointError, match="groups.by: label, but the training images have no labels"):
        members(FILES, {}, None, "label")
    with pytest.raises(WaypointError, match="no column group in data.captions"):
        members(FILES, {}, None, "group")


def test_one_class_of_all_images_is_no_group():
    with pytest.raises(WaypointError, match="group a holds all 5"):
        members(FILES, {}, ["a"] * 5, "label")


def test_classes_and_groups_are_those_of_the_store(tmp_path):
    image = (["train", "channel", "y", "x"], np.zeros((3, 1, 2, 2), np.float32))
    label = (["train"], np.array([1, 0, 1]), {"class_names": ["ape", "cat"]})
    data = open_store(store(tmp_path / "a.zarr", image=image, label=label, group=(["train"], np.array(["x", "", "y"]))))
    assert classes_of(data, "label", ImageNames(data)) == ["cat", "ape", "cat"]
    assert classes_of(data, "group", ImageNames(data)) == ["x", "", "y"]
    bare = open_store(store(tmp_path / "b.zarr", image=image))
    assert classes_of(bare, "label", ImageNames(bare)) is None and classes_of(bare, "group", ImageNames(bare)) is None


def test_digits_that_name_a_file_are_no_index(tmp_path):
    """0005 once meant the image of index 5, which was 0010.png."""
    files = [f"{i:04d}.png" for i in range(5, 25)]
    with pytest.raises(WaypointError, match=r"line 2: no training image is called '0005'; .*'0005\.png'"):
        members(files, listed(tmp_path, "0007.png\n0005\n"), None, None)
    with pytest.raises(WaypointError, match=r"'12' may be the image of index 12, '13\.png', or 'a/12\.png'; give the"):
        members(
            ["a/12.png" if i == 11 else f"{i + 1}.png" for i in range(20)], listed(tmp_path, "3.png\n12"), None, None
        )
