"""Paths asked for by name: unknown targets and methods in them are named, beside the nearest."""

from types import SimpleNamespace

import pytest

from waypoint.errors import WaypointError
from waypoint.workflow.plan.requested import require_known

NAMES = ["digit-a", "digit-b", "face", "seven"]
PLAN = SimpleNamespace(
    root="results/e", sampled=dict.fromkeys(NAMES), instances=dict.fromkeys(["trak", "ekfac", "pixel"])
)


@pytest.mark.parametrize(
    "path",
    [
        "targets/digit-aa/trajectory.zarr",
        "targets/digit-aa/gradients/plain.zarr",
        "scores/trak/digit-aa.zarr",
        "figures/digit-aa/trak.png",
        "figures/likelihood-digit-aa.png",
        "evaluation/outputs/digit-aa.zarr",
        "evaluation/counterfactual/digit-aa.zarr",
        "evaluation/counterfactual/trak/digit-aa.zarr",
        "evaluation/forgetting/trak/digit-aa.zarr",
    ],
)
@pytest.mark.parametrize("before", ["", "prefix/", "/somewhere/"])
def test_an_unknown_target_is_named_beside_the_nearest(path, before):
    with pytest.raises(WaypointError, match="no target digit-aa; the nearest are digit-a, digit-b, ") as refused:
        require_known(PLAN, ["all", f"{before}results/e/{path}"])
    assert f"{before}results/e/{path}" in str(refused.value)


def test_an_unknown_method_is_named_too():
    with pytest.raises(WaypointError, match="no method trek; the nearest are trak, "):
        require_known(PLAN, ["results/e/scores/trek/digit-a.zarr"])


def test_what_is_known_or_elsewhere_passes():
    paths = ["all", "features", "other/scores/x/y.zarr", "results/e/figures/models/full/0.png"]
    paths += ["results/e/scores/random/face.zarr", "results/e/evaluation/forgetting/none/face.zarr"]
    require_known(PLAN, [*paths, "results/e/figures/lds.png", "results/e/targets/seven/samples.zarr"])
