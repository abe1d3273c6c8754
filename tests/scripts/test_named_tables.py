"""Tables that name training images: top_influences.csv and scores_of_images.csv."""

import csv

import numpy as np
import pytest
from support import run_script, store

FILES = ["ape/1.png", "ape/2.png", "cat/1.png", "cat/2, sitting.png"]
SCORE = np.array([[0.5, -1.0, 2.0, 0.5], [0.0, 3.0, -2.0, 1.0]], np.float32)
IMAGE = (["train", "channel", "y", "x"], np.zeros((4, 1, 2, 2), np.float32))
LABEL = ["train"], np.array([0, 0, 1, 1]), {"class_names": ["ape", "cat"]}
NAMED = {"file": (["train"], np.array(FILES)), "label": LABEL}


@pytest.fixture
def scores(tmp_path):
    arrays = {"score": (["step", "train"], SCORE), "step": (["step"], np.array([100, 500]))}
    trak = {**arrays, "score_se": (["step", "train"], np.abs(SCORE) / 4)}
    made = {"trak": store(tmp_path / "trak.zarr", {"method": "trak", "target": "a"}, **trak)}
    return [*made.values(), store(tmp_path / "pixel.zarr", {"method": "pixel", "target": "a"}, **arrays)]


def table(tmp_path, script, scores, settings, arrays, first=(0, 1, 2, 3)):
    data = store(tmp_path / "train.zarr", image=IMAGE, **arrays)
    near = store(tmp_path / "near.zarr", first=(["train"], np.array(first)))
    more = {"near": near} if script == "top_influences" else {}
    run_script(script, spec={"tables": settings}, data=data, scores=scores, **more, out=tmp_path / "table.csv")
    with open(tmp_path / "table.csv", newline="", encoding="utf-8") as handle:
        return list(csv.reader(handle))


def test_top_influences_name_file_and_class(tmp_path, scores):
    header, *rows = table(tmp_path, "top_influences", scores, {"top": 1}, NAMED)
    columns = "method target step rank sign train score score_se label file class rank_low rank_high found alike"
    assert header == columns.split()
    assert rows[:4] == [
        ["trak", "a", "100", "1", "+", "2", "2", "0.5", "1", "cat/1.png", "cat", "", "", "", "1"],
        ["trak", "a", "100", "1", "-", "1", "-1", "0.25", "0", "ape/2.png", "ape", "", "", "", "1"],
        ["trak", "a", "500", "1", "+", "1", "3", "0.75", "0", "ape/2.png", "ape", "", "", "", "1"],
        ["trak", "a", "500", "1", "-", "2", "-2", "0.5", "1", "cat/1.png", "cat", "", "", "", "1"],
    ]


@pytest.mark.parametrize(("arrays", "named"), [({}, ["", "2", ""]), ({"label": LABEL[:2]}, ["1", "2", "1"])])
def test_in_stores_without_names_the_index_stands_in(tmp_path, scores, arrays, named):
    _, first, *_ = table(tmp_path, "top_influences", scores, {"top": 1}, arrays)
    assert first == ["trak", "a", "100", "1", "+", "2", "2", "0.5", *named, "", "", "", "1"]


def test_images_that_show_the_same_are_listed_once_with_their_number(tmp_path, scores):
    """Image 2 shows what image 1 does, so that neither its largest score nor its smallest leads a list."""
    _, *rows = table(tmp_path, "top_influences", scores[:1], {"top": 4}, NAMED, first=(0, 1, 1, 3))
    listed = [(row[2], row[4], row[5], row[-1]) for row in rows]
    assert listed[:6] == [
        ("100", "+", "0", "1"),
        ("100", "+", "3", "1"),
        ("100", "+", "1", "2"),
        ("100", "-", "1", "2"),
        ("100", "-", "0", "1"),
        ("100", "-", "3", "1"),
    ]
    assert len(listed) == 12 and [row[2] for row in listed[6:9]] == ["1", "3", "0"]


def test_scores_of_images_hold_the_listed_ones_everywhere(tmp_path, scores):
    listed = ["2, sitting.png", 0, "ape/*"]
    header, *rows = table(tmp_path, "scores_of_images", scores, {"images": listed}, NAMED)
    assert header == "file train target method step score score_se rank".split()
    # images 0 and 3 have the same score at step 100: the lower index comes first
    assert rows[:6] == [
        ["cat/2, sitting.png", "3", "a", "trak", "100", "0.5", "0.125", "3"],
        ["cat/2, sitting.png", "3", "a", "trak", "500", "1", "0.25", "2"],
        ["ape/1.png", "0", "a", "trak", "100", "0.5", "0.125", "2"],
        ["ape/1.png", "0", "a", "trak", "500", "0", "0", "3"],
        ["ape/2.png", "1", "a", "trak", "100", "-1", "0.25", "4"],
        ["ape/2.png", "1", "a", "trak", "500", "3", "0.75", "1"],
    ]
    assert [row[3:] for row in rows[6:8]] == [["pixel", "100", "0.5", "", "3"], ["pixel", "500", "1", "", "2"]]
    assert len(rows) == 12


def test_a_listed_image_that_is_not_there_is_told(tmp_path, scores, capsys):
    with pytest.raises(SystemExit):
        table(tmp_path, "scores_of_images", scores, {"images": [0, "ape/3.png"]}, NAMED)
    said = "Waypoint: tables.images[1]: no training image is called 'ape/3.png'; the nearest names are 'ape/"
    assert said in capsys.readouterr().err
