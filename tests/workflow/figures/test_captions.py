"""Words under training images: they fit, and are shortened in the middle."""

import numpy as np
import pytest
from support import store

from waypoint.store.data.image_names import ImageNames
from waypoint.store.zarr.reader import open_store
from waypoint.workflow.figures.captions import SIZE, Captions, plain, shortened, signed, width_of
from waypoint.workflow.figures.style import plt

LONG = "holiday/2019/IMG_20190304_123456.jpg"


@pytest.mark.parametrize("width", [0.4, 0.75, 1.3])
@pytest.mark.parametrize("text", [LONG, "W" * 60, "i" * 200, "ä€" * 40])
def test_a_long_name_keeps_its_ends_and_fits(text, width):
    found = shortened(text, width)
    begin, end = found.split("…")
    assert text.startswith(begin) and text.endswith(end) and 0 <= len(end) - len(begin) <= 1
    assert width_of(found, SIZE) <= width
    longer = text[: len(begin) + 1] + "…" + text[len(text) - len(end) - 1 :]
    assert width_of(longer, SIZE) > width


def test_a_name_that_fits_stays_as_it_is():
    assert shortened("0001.png", 0.75) == "0001.png" and shortened("", 0.75) == ""
    assert shortened("two\nlines", 2) == "two lines"


def test_widths_are_those_of_the_drawn_text():
    figure = plt.figure(dpi=140)
    drawn = figure.text(0, 0, LONG, size=SIZE).get_window_extent(figure.canvas.get_renderer()).width / 140
    plt.close(figure)
    assert width_of(LONG, SIZE) == pytest.approx(drawn, rel=0.04)


def test_no_character_of_a_name_is_a_formula():
    figure = plt.figure()
    text = figure.text(0, 0, plain("$a$ and $b_1$"))
    assert text._preprocess_math(text.get_text()) == ("$a$ and $b_1$", False)
    plt.close(figure)


def test_captions_are_name_and_class(tmp_path):
    image = (["train", "channel", "y", "x"], np.zeros((2, 1, 2, 2), np.float32))
    labels = ["train"], np.array([0, 1]), {"class_names": ["ape", "cat"]}
    arrays = {"image": image, "file": (["train"], np.array(["ape/1.png", LONG])), "label": labels}
    named = Captions(ImageNames(open_store(store(tmp_path / "a.zarr", **arrays))), 1)
    assert named.lines == 2 and named.words == "file and class"
    assert named.of(0) == ["1.png", "ape"]  # the class says the folder
    assert named.of(1) == [shortened(LONG, 1), "cat"]
    old = Captions(ImageNames(open_store(store(tmp_path / "b.zarr", image=image))), 1)
    assert old.lines == 1 and old.words == "index" and old.of(1) == ["1"]


def test_scores_have_two_digits_and_a_sign():
    assert [signed(score) for score in (0.123, -0.0001234, 12)] == ["+0.12", "−0.00012", "+12"]
