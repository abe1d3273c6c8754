"""The sentences about a given image."""

import numpy as np
import pytest
from support import store

from waypoint.store.zarr.reader import open_store
from waypoint.workflow.jobs.compared_image import Compared


def compared(tmp_path, distance, seen=0.9, evened=0.9, loss=1.0, held_out=False, alike=1, names=None):
    arrays = {
        "by": (["by"], np.array(["pixels", "evened", "clip"])),
        "nearest": (["by"], np.array([2, 5, 3])),
        "distance": (["by"], np.array([distance, evened, seen])),
        "typical": (["by"], np.array([0.1, 0.5, 0.6])),
        "limit": (["by"], np.array([0.05, 0.25, 0.3])),
        "alike": (["by"], np.array([alike, 1, 1])),
        "step": (["step"], np.array([100, 500])),
        "loss": (["step"], np.array([loss, loss])),
        "train_loss": (["train", "step"], np.repeat(np.arange(0.5, 100)[:, None], 2, 1)),
    }
    if held_out:
        arrays["held_out_loss"] = (["held_out", "step"], np.full((4, 2), 50.0))
    tmp_path.mkdir(exist_ok=True)
    path = store(tmp_path / "c.zarr", {"target": "hers", "inversion": "ddpm"}, **arrays)
    return Compared(open_store(path), names)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"distance": 0.001}, "It is training image 2."),
        ({"distance": 0.001, "alike": 3}, "It is training image 2, one of 3 that show the same."),
        ({"distance": 0.04}, "It is a near-duplicate of training image 2 (distance 0.04)."),
        ({"distance": 0.2}, "It is not a training image: the nearest is 2 (distance 0.2, 0.05 and less would be"),
        ({"distance": 0.2, "seen": 0.1}, "By clip it is a near-duplicate of training image 3 (distance 0.1)."),
        (
            {"distance": 0.2, "evened": 0.2},
            "Up to brightness and contrast it is a near-duplicate of training image 5 (",
        ),
        ({"distance": 0.001, "names": np.array(list("abcdef"))}, "It is training image 2 (c)."),
        (
            {"distance": 0.2, "loss": 50},
            "explains it as it explains its training images: better than 50% of them. It",
        ),
        ({"distance": 0.2, "loss": 300}, "explains it worse than almost all training images: worse than 100% of them."),
        ({"distance": 0.2, "loss": 0.1}, "explains it better than almost all training images: better than 100%"),
        (
            {"distance": 0.2, "loss": 10, "held_out": True},
            "better than 90% of them, and better than 100% of images that it",
        ),
    ],
)
def test_sentences(tmp_path, given, words):
    assert words in compared(tmp_path, **given).sentence()


def test_rows_of_the_table(tmp_path):
    rows = list(compared(tmp_path, 0.04, held_out=True).rows())
    assert [row["what"] for row in rows] == ["pixels", "evened", "clip", "loss", "loss", "loss", "summary"]
    assert [row.get("step") for row in rows] == [None, None, None, 100, 500, "all", None]
    assert rows[0]["words"] == "near-duplicate" and rows[1]["words"] == "new"
    assert rows[3]["train_share"] == 0.99 and rows[3]["held_out_share"] == 1


def test_the_panels_line(tmp_path):
    line = compared(tmp_path, 0.04, loss=50).line()
    assert line == "near-duplicate of image 2; explained better than 50% of training images"
    assert compared(tmp_path / "new", 0.2).line().startswith("not a training image, nearest 2; explained ")
