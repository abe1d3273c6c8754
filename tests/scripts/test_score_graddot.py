"""score_graddot.py, score_diagonal.py and score_gradcos.py against explicit loops."""

import numpy as np
import pytest
from support import run_script, store

from waypoint.store.zarr.reader import open_store, read

STEPS, IMAGES, NAMES = [100, 500], 7, ["full/0", "full/1", "full/2"]
SPEC = {"seed": 0, "checkpoints": NAMES, "scores": {"keep_checkpoints": True}}


@pytest.fixture
def made(tmp_path):
    """Φ (checkpoint, image, feature), g (checkpoint, step, feature), and the arguments that name their stores."""
    random = np.random.default_rng(0)
    phi, g = random.standard_normal((3, IMAGES, 5), np.float32), random.standard_normal((3, 2, 5), np.float32)
    weights = {"spec": SPEC, "weights": ["w0", "w1", "w2"]}
    arrays = {
        "checkpoint": (["checkpoint"], NAMES),
        "step": (["step"], STEPS),
        "g": (["checkpoint", "step", "feature"], g),
    }
    gradients = store(tmp_path / "targets/a/gradients/plain.zarr", weights, **arrays)
    features = [
        store(
            tmp_path / f"features/plain/{m}.zarr",
            {"spec": SPEC, "weights": f"w{m}"},
            phi=(["train", "feature"], phi[m]),
        )
        for m in range(3)
    ]
    common = {"method": "mine", "target": "a", "targets": ["a"], "waiting": tmp_path / "resume/scores/mine"}
    return (
        phi,
        g,
        {"spec": SPEC, "gradients": gradients, "features": features, **common, "out": tmp_path / "mine/a.zarr"},
    )


def dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b))


def cosine(a, b):
    return dot(a, b) / (dot(a, a) * dot(b, b)) ** 0.5


@pytest.mark.parametrize("script, term", [("score_graddot", dot), ("score_diagonal", dot), ("score_gradcos", cosine)])
def test_scores_are_means_over_checkpoints_with_their_standard_error(made, script, term):
    phi, g, arguments = made
    run_script(script, **arguments)
    scores = open_store(arguments["out"])
    for s in range(2):
        for i in range(IMAGES):
            terms = [term(phi[m, i], g[m, s]) for m in range(3)]
            mean = sum(terms) / 3
            error = (sum((one - mean) ** 2 for one in terms) / 2 / 3) ** 0.5
            assert read(scores["score"])[s, i] == pytest.approx(mean, rel=1e-5, abs=1e-6)
            assert read(scores["score_se"])[s, i] == pytest.approx(error, rel=1e-5, abs=1e-6)
            assert read(scores["score_by_checkpoint"])[:, s, i] == pytest.approx(terms, rel=1e-5, abs=1e-6)
