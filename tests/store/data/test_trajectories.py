"""Given trajectories: what is one, and what is something else."""

import numpy as np
import pytest
from PIL import Image

from waypoint.errors import WaypointError
from waypoint.store.data.trajectories import GivenTrajectory

X = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
STEP = np.array([500, 100])
BYTES = np.random.default_rng(1).integers(0, 256, (3, 8, 8), np.uint8)


def given(tmp_path, **arrays):
    np.savez(tmp_path / "own.npz", **{"x_t": X, "step": STEP, **arrays})
    return GivenTrajectory(tmp_path / "own.npz", "targets[0]")


@pytest.mark.parametrize("image", [BYTES, BYTES.transpose(1, 2, 0), BYTES / np.float32(127.5) - 1])
def test_an_image_follows_the_rule_of_arrays(tmp_path, image):
    found = given(tmp_path, image=image)
    assert found.image == pytest.approx(BYTES / 127.5 - 1, abs=1e-6) and found.image.dtype == np.float32
    assert found.steps == [500, 100] and np.array_equal(found.x_t, X)


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_other_floats_are_floats(tmp_path, kind):
    assert given(tmp_path, x_t=X.astype(kind)).x_t == pytest.approx(X, abs=1e-2)
    assert given(tmp_path).image is None


@pytest.mark.parametrize(
    "arrays, name",
    [
        ({"x_t": np.stack([BYTES, BYTES])}, "x_t in .* holds uint8, but must be floats"),
        ({"x_t": np.stack([BYTES, BYTES]).astype(np.float32)}, "runs from 0 to 255|runs from . to 25"),
        ({"x_t": (X > 0) + np.float32(0)}, "runs from 0 to 1"),
        ({"x_t": X.astype(str)}, "must be floats"),
        ({"x_t": X.astype(np.complex64)}, "must be floats"),
        ({"x_t": X * np.nan}, "not finite"),
        ({"image": BYTES / np.float32(255)}, r"\[0, 1\]"),
        ({"image": BYTES.astype(np.float32)}, r"within \[-1, 1\]"),
        ({"image": BYTES.astype(np.int64)}, "uint8"),
        ({"step": np.array([100, 100])}, "distinct"),
        ({"step": np.array([500.5, 100])}, "whole"),
    ],
)
def test_what_is_no_trajectory_is_refused(tmp_path, arrays, name):
    with pytest.raises(WaypointError, match=rf"targets\[0\]: trajectory: .*({name})"):
        given(tmp_path, **arrays)


def test_a_picture_is_told_what_is_needed(tmp_path):
    Image.fromarray(BYTES.transpose(1, 2, 0)).save(tmp_path / "made.png")
    with pytest.raises(WaypointError, match=r"made\.png is a picture; a trajectory is an npz file with the keys x_t"):
        GivenTrajectory(tmp_path / "made.png", "targets[0]")
    np.savez(tmp_path / "own.npz", x=X, timesteps=STEP)
    with pytest.raises(WaypointError, match="no key 'step'; it has x, timesteps"):
        GivenTrajectory(tmp_path / "own.npz", "targets[0]")
