"""The images of a retrained model, and the refusal of one that saw others."""

from types import SimpleNamespace

import numpy as np
import pytest

from waypoint.errors import WaypointError
from waypoint.science.evaluation.subsets import subset_rows, without_random
from waypoint.store.networks.training_rows import require_own_images, require_rows, rows_hash, training_rows
from waypoint.store.zarr.reader import open_store
from waypoint.store.zarr.writer import create_store

N = 20


@pytest.fixture
def scores(tmp_path):
    with create_store(tmp_path / "score.zarr", lambda: {"spec": {}}) as store:
        store.write("step", ["step"], np.array([100, 400]))
        score = np.stack([np.arange(N), -np.arange(N)]).astype(np.float32)
        store.write("score", ["step", "train"], score)
    return open_store(tmp_path / "score.zarr")


def test_rows_follow_from_the_spec(scores):
    assert training_rows(None, 0, N).tolist() == list(range(N))
    assert np.array_equal(training_rows({"subset": 3, "fraction": 0.5}, 0, N), subset_rows(0, 3, N, 0.5))
    assert np.array_equal(training_rows({"random": 1, "remove": 0.25}, 0, N), without_random(0, 1, N, 5))
    top = {"method": "trak", "target": "a", "remove": 3}
    assert training_rows({**top, "step": 100}, 0, N, scores).tolist() == list(range(N - 3))
    assert training_rows({**top, "step": 400}, 0, N, scores).tolist() == list(range(3, N))


@pytest.mark.parametrize("remove", [20, 21, 0.01])
def test_a_removal_of_nothing_or_everything_is_refused(remove):
    with pytest.raises(WaypointError, match="n_remove"):
        training_rows({"random": 0, "remove": remove}, 0, N)


def test_a_model_of_other_rows_is_refused():
    checkpoint = SimpleNamespace(path="some/model", attributes={"rows_sha256": rows_hash(range(5))})
    require_rows(checkpoint, np.arange(5))
    for other in (range(4), [0, 1, 2, 3, 5]):
        with pytest.raises(WaypointError, match="some/model was trained on different images"):
            require_rows(checkpoint, np.array(other))


def test_a_model_of_other_images_is_refused_and_a_given_one_is_not():
    require_own_images(SimpleNamespace(path="given", attributes={}), "abc", "data/train.zarr")
    trained = SimpleNamespace(path="some/model", attributes={"data_sha256": "abc"})
    require_own_images(trained, "abc", "data/train.zarr")
    words = "^some/model was trained on other images than data/train.zarr holds; retrain it$"
    with pytest.raises(WaypointError, match=words):
        require_own_images(trained, "def", "data/train.zarr")
