"""What figures say when they rest on little."""

import pytest

from waypoint.workflow.figures.caveats import FEW_SUBSETS, with_caveats
from waypoint.workflow.figures.read_scores import titled


@pytest.mark.parametrize(
    "numbers, said",
    [
        ({}, ""),
        ({"targets": 2, "models": 3, "subsets": FEW_SUBSETS}, ""),
        ({"targets": 1, "models": 3}, "\nRests on one target: others may differ."),
        ({"targets": 2, "models": 1}, "\nRests on one model: others may differ."),
        ({"targets": 1, "models": 1}, "\nRests on one target and one model: others may differ."),
        ({"subsets": FEW_SUBSETS - 1}, "\nAn illustration: so few subsets give wide intervals."),
        ({"targets": 1, "subsets": 2}, "\nRests on one target: others may differ. An illustration: so few subsets"),
    ],
    ids=str,
)
def test_a_title_warns_of_what_is_little(numbers, said):
    title = with_caveats("LDS", **numbers)
    assert title.startswith("LDS" + said) and ("\n" in title) == bool(said)


def test_a_title_counts_what_ran_and_methods_without_models_rest_on_none():
    made = {"targets": 1, "images": 30, "models": 0}
    assert titled("Sign overlap", made) == (
        "Sign overlap: 1 target, 30 training images\nRests on one target: others may differ."
    )
