"""``mine: {scores: folder}``: what a folder of scores must hold, in both formats of Zarr, before and in the job."""

import numpy as np
import pytest
import xarray
from support import UNET, run_script, store, tiny_config

from waypoint.errors import WaypointError
from waypoint.store.zarr.reader import open_store, read
from waypoint.workflow.plan.plan import Plan

STEPS, N = [500, 300, 100], 30  # of which 100 and 500 are attributed


def own_scores(path, zarr_format=3, dims=("step", "train"), steps=STEPS, n=N, error=True, **changes):
    """Write scores as a user would; the array of score, (step, train)."""
    score = np.random.default_rng(0).standard_normal((len(steps), n))
    values = score if dims[0] == "step" else score.T
    variables = {"score": (dims, values)} | ({"score_se": (dims, np.abs(values))} if error else {})
    coordinates = {"step": steps, "train": np.arange(n)} | changes
    xarray.Dataset(variables, coordinates).to_zarr(path, mode="w", zarr_format=zarr_format, consolidated=False)
    return score


def planned(folder, **sections):
    return tiny_config({"unet": UNET}, methods={"trak": {}, "mine": {"scores": str(folder)}}, **sections)


def message(folder, **sections):
    with pytest.raises(WaypointError) as error:
        planned(folder, **sections)
    return str(error.value)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("dims", [("step", "train"), ("train", "step")])
def test_scores_are_taken_at_the_attributed_steps(tmp_path, zarr_format, dims):
    score = own_scores(tmp_path / "own/a.zarr", zarr_format, dims)
    plan = Plan(planned(tmp_path / "own"))
    data = store(tmp_path / "data.zarr", image=(["train", "channel", "y", "x"], np.zeros((N, 1, 8, 8), np.float32)))
    common = {"data": data, "source": tmp_path / "own/a.zarr", "method": "mine", "target": "a"}
    spec = plan.asked("import_scores", method="mine", target="a")
    run_script("import_scores", spec=spec, **common, out=tmp_path / "out.zarr")
    found = open_store(tmp_path / "out.zarr")
    assert read(found["step"]).tolist() == [100, 500] and found.attrs["method"] == "mine"
    assert np.array_equal(read(found["score"]), score[[2, 0]].astype(np.float32))
    assert np.array_equal(read(found["score_se"]), np.abs(score[[2, 0]]).astype(np.float32))


def test_the_identity_follows_the_content_and_not_the_place(tmp_path):
    own_scores(tmp_path / "own/a.zarr")
    own_scores(tmp_path / "moved/a.zarr")
    own_scores(tmp_path / "other/a.zarr", error=False)

    def identity(folder):
        return Plan(planned(tmp_path / folder)).identity("import_scores", method="mine", target="a")

    assert identity("own") == identity("moved") != identity("other")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"steps": [100, 300]}, ["a.zarr", "no scores of step 500"]),
        ({"n": 29}, ["a.zarr", "29 training images; there are 30"]),
        ({"dims": ("step", "image"), "train": ("image", np.arange(N))}, ["score", "'image'"]),
        ({"train": np.arange(N)[::-1]}, ["train", "places of images"]),
        ({"step": [500.0, 300.0, 100.0]}, ["step", "whole training-time steps"]),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_job(tmp_path, changes, words):
    own_scores(tmp_path / "own/a.zarr", **changes)
    text = message(tmp_path / "own")
    assert text.startswith("config: methods.mine.scores") and all(word in text for word in words), text


def test_a_store_that_is_missing_or_is_none_is_refused(tmp_path):
    own_scores(tmp_path / "own/a.zarr")
    two = [{"id": "a", "seed": 1}, {"id": "b", "seed": 2}]
    assert "no store" in message(tmp_path / "own", targets=two) and "b.zarr" in message(tmp_path / "own", targets=two)
    (tmp_path / "own/b.zarr").mkdir()
    assert "not a readable Zarr store" in message(tmp_path / "own", targets=two)
