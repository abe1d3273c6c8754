"""Methods look alike in every figure, and no two look the same."""

import itertools

import pytest

from waypoint.workflow.config.image_encoders import BUILT_IN
from waypoint.workflow.figures.style import METHODS, OTHERS, styles

MANY = [*BUILT_IN, "none", "clip", "dino", "efficientnet-lite0", "resnet"]


def test_every_method_has_a_style_of_its_own():
    found = styles(MANY)
    assert set(found) == set(MANY)
    for (one, a), (other, b) in itertools.combinations(found.items(), 2):
        assert a["color"] != b["color"] and a["marker"] != b["marker"], (one, other)
        assert a["hatch"] != b["hatch"] or {one, other} == {"trak", "none"}


@pytest.mark.parametrize("methods", [MANY, MANY[::-1]])
def test_known_methods_have_one_order_and_controls_come_last(methods):
    order = list(styles(methods))
    assert order[:4] == ["trak", "trak-sum", "pixel", "clip"] and order[-3:] == ["norm", "random", "none"]
    assert list(styles(["random", "trak"])) == ["trak", "random"]


def test_further_methods_keep_their_order_and_take_the_styles_in_turn():
    names = [f"net-{k}" for k in range(len(OTHERS) + 1)]
    found = styles([*names, "trak", *names])
    assert list(found) == ["trak", *names]
    assert [found[name] for name in names] == [*OTHERS, OTHERS[0]]


def test_a_known_methods_style_does_not_depend_on_the_others():
    assert all(styles([name, "dino"])[name] == METHODS[name] for name in METHODS)
