"""Names of training images, and the image that a name means."""

import re

import numpy as np
import pytest
from support import store

from waypoint.errors import WaypointError
from waypoint.store.data.image_names import ImageNames, find, find_one
from waypoint.store.zarr.reader import open_store

FILES = ["ape/1.png", "ape/2.png", "cat/1.png", "cat/seven.png", "7", "odd[1].png", "ape/3"]
IMAGE = (["train", "channel", "y", "x"], np.zeros((3, 1, 2, 2), np.float32))


def names(path, **arrays):
    return ImageNames(open_store(store(path / "train.zarr", image=IMAGE, **arrays)))


def test_names_are_those_of_the_store(tmp_path):
    labels = ["train"], np.array([1, 0, 2]), {"class_names": ["ape", "cat"]}
    found = names(tmp_path, file=(["train"], np.array(["a/ä.png", "b.png", "c"])), label=labels)
    assert found.files == ["a/ä.png", "b.png", "c"] and len(found) == 3 and found.named and found.labelled
    # the third label has no name: its number stands in
    assert [found.class_of(i) for i in range(3)] == ["cat", "ape", "2"]
    assert [found.label_of(i) for i in range(3)] == [1, 0, 2]


def test_where_a_store_has_no_names_the_index_stands_in(tmp_path):
    found = names(tmp_path, label=(["train"], np.array([4, 5, 6])))
    assert found.files == ["0", "1", "2"] and not found.named
    assert found.class_of(1) == "5"


def test_without_labels_there_is_no_class(tmp_path):
    found = names(tmp_path)
    assert not found.labelled and found.class_of(0) == found.label_of(0) == ""


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("cat/1.png", [2]),
        ("2.png", [1]),  # the end of a name
        ("7", [4]),  # a name before an index
        ("3", [3]),  # an index before the end of a name
        ("ape/3", [6]),
        (4, [4]),
        ("odd[1].png", [5]),  # a name before a pattern
        ("ape/*", [0, 1, 6]),
        ("*/[12].png", [0, 1, 2]),
        ("???/1.png", [0, 2]),
    ],
)
def test_a_name_a_pattern_or_an_index_means(wanted, expected):
    assert find(FILES, wanted, "here") == expected


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("1.png", "here: '1.png' fits 2 training images; give one of their whole names: 'ape/1.png', 'cat/1.png'"),
        ("cat/sevn.png", "here: no training image is called 'cat/sevn.png'; the nearest names are 'cat/seven.png'"),
        ("dog/seven.pgn", "no training image is called 'dog/seven.pgn'; the nearest names are 'cat/seven.png'"),
        ("qqqqqqqqqq", "'qqqqqqqqqq'; the first names are 'ape/1.png', 'ape/2.png', 'cat/1.png', 'cat/seven.png', …"),
        ("CAT/*", "no training image fits the pattern 'CAT/*'; the"),
        ("03", "no training image is called '03'"),
        ("9" * 5000, "there is no training image 999"),
        (7, "here: there is no training image 7; their indices are 0 to 6"),
        ("66", "there is no training image 66; their indices are 0 to 6"),
        ("²", "no training image is called '²'"),
        ("png", "no training image is called 'png'"),
    ],
)
def test_what_means_no_image_or_several_is_told_in_a_sentence(wanted, said):
    with pytest.raises(WaypointError, match=re.escape(said)):
        find(FILES, wanted, "here")


def test_images_of_one_name_are_told_apart_by_their_indices():
    with pytest.raises(WaypointError, match="'a' fits 2 training images; give one of their indices: 0, 2"):
        find(["a", "b", "a"], "a", "here")
    with pytest.raises(WaypointError, match="give one of their indices: 0, 2"):
        find_one(["a", "b", "a"], "a*", "here")


def test_one_image_is_not_a_pattern_of_several():
    assert find_one(FILES, "cat/s*", "here") == 3
    with pytest.raises(WaypointError, match=re.escape("here: 'ape/*' fits 3 training images; give one of")):
        find_one(FILES, "ape/*", "here")


def test_digits_are_an_index_unless_another_file_is_called_so():
    files = ["0.png", "2.png", "b/1.png", "c/05.png", "c/6"]
    assert find(files, "0", "here") == [0]  # both the index and the name
    assert find(files, "4", "here") == [4] and find(files, 1, "here") == [1]
    for query, said in {
        "1": "here: '1' may be the image of index 1, '2.png', or 'b/1.png'; give the whole name",
        "05": "here: no training image is called '05'; a name needs its suffix: 'c/05.png'",
        "6": "there is no training image 6",
        "00": "no training image is called '00'",
    }.items():
        with pytest.raises(WaypointError, match=re.escape(said)):
            find(files, query, "here")
    with pytest.raises(WaypointError, match=re.escape("'9' may be '9.png'; give the whole name")):
        find(["9.png", "b.png"], "9", "here")
