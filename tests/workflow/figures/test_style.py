"""Methods look alike in every figure, and no two look the same."""

import itertools

import pytest

from waypoint.workflow.figures.style import METHODS, OTHERS, styles
from waypoint.workflow.methods import NAMED

MANY = [*NAMED, "none", "clip", "dino", "efficientnet-lite0", "resnet"]


def test_every_method_has_a_style_of_its_own():
    found = styles(MANY)
    assert set(found) == set(MANY)
    for (one, a), (other, b) in itertools.combinations(found.items(), 2):
        assert a["color"] != b["color"] and a["marker"] != b["marker"], (one, other)
        assert a["hatch"] != b["hatch"] or {one, other} == {"trak", "none"}


@pytest.mark.parametrize("methods", [MANY, MANY[::-1]])
def test_known_methods_have_one_order_and_controls_come_last(methods):
    order = list(styles(methods))
    controls = ["norm", "random", "none"]
    others = [name for name in NAMED if name not in controls]
    assert order[: len(others) + 1] == [*others, "clip"] and order[-3:] == controls
    assert list(styles(["random", "trak"])) == ["trak", "random"]


def test_further_methods_keep_their_order_and_take_the_styles_in_turn():
    names = [f"net-{k}" for k in range(len(OTHERS) + 1)]
    found = styles([*names, "trak", *names])
    assert list(found) == ["trak", *names]
    assert [found[name] for name in names] == [*OTHERS, OTHERS[0]]


def test_a_methods_turn_is_the_same_in_figures_of_fewer_methods():
    turns = {"net-0": 0, "net-1": 1, "net-2": 2}
    assert styles(["net-2", "trak", "net-1"], turns) == {
        "trak": METHODS["trak"],
        "net-1": OTHERS[1],
        "net-2": OTHERS[2],
    }


def test_a_known_methods_style_does_not_depend_on_the_others():
    assert all(styles([name, "dino"])[name] == METHODS[name] for name in METHODS)
