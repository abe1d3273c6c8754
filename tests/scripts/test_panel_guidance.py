"""The words on guidance in a panel's header."""

import runpy

import pytest
from support import script_path


@pytest.mark.parametrize(
    "spec, words",
    [
        ({"target": {"seed": 1}, "sampling": {"steps": 20}, "attribution": {}}, None),
        ({"target": {"label": 1}, "sampling": {"steps": 20}}, "f_t unguided, x̂0 unguided"),
        (
            {"target": {"prompt": "a"}, "sampling": {"guidance": 7.5}, "attribution": {}},
            "f_t unguided, x̂0 guidance 7.5",
        ),
        ({"target": {"prompt": "a"}, "sampling": {}, "attribution": {"guidance": 0}}, "f_t guidance 0, x̂0 unguided"),
    ],
)
def test_the_guidance_of_f_t_and_of_the_estimate_is_said(spec, words):
    assert runpy.run_path(str(script_path("trajectory_panel")))["guidances"](spec) == words
