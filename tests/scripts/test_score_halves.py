"""Scores of both halves of a single checkpoint's draws, against explicit loops; and which checkpoints are kept."""

import numpy as np
import pytest
from support import run_script, store

from waypoint.store.zarr.reader import open_store, read

STEPS, IMAGES, D = [100, 500], 9, 5


def made(tmp_path, script, models=1, asked=None, halves=True, targets=("a",)):
    """Scores of the first target; φ (M, N, 2, d) and g (M, steps, 2, d) by half, and the means."""
    random, names = np.random.default_rng(0), [f"full/{m}" for m in range(models)]
    phi = random.standard_normal((models, IMAGES, 2, D)).astype(np.float32)
    g = random.standard_normal((len(targets), models, len(STEPS), 2, D)).astype(np.float32)
    apart = {"keep_checkpoints": asked} | ({"keep_halves": True} if halves else {})
    spec = {"seed": 0, "checkpoints": names, "scores": apart}
    for k, target in enumerate(targets):
        arrays = {"checkpoint": (["checkpoint"], names), "step": (["step"], STEPS)}
        arrays["g"] = (["checkpoint", "step", "feature"], g[k].mean(2))
        arrays["g_half"] = (["checkpoint", "step", "half", "feature"], g[k])
        weights = {"spec": spec, "weights": [f"w{m}" for m in range(models)]}
        store(tmp_path / f"targets/{target}/gradients/plain.zarr", weights, **arrays)
    features = []
    for m in range(models):
        arrays = {"phi": (["train", "feature"], phi[m].mean(1)), "phi_half": (["train", "half", "feature"], phi[m])}
        features.append(store(tmp_path / f"features/{m}.zarr", {"spec": spec, "weights": f"w{m}"}, **arrays))
    given = {"gradients": tmp_path / "targets/a/gradients/plain.zarr", "features": features, "targets": list(targets)}
    given |= {
        "method": "mine",
        "target": "a",
        "waiting": tmp_path / "resume/scores/mine",
        "out": tmp_path / "mine/a.zarr",
    }
    if script == "score_trak":
        given["kernels"] = []
        for m, path in enumerate(features):
            of_kernel = {"seed": 0, "kernel": {"damping": 0.1}}
            kernel = tmp_path / f"kernels/{m}.zarr"
            run_script("factor_kernel", spec=of_kernel, features=path, out=kernel)
            given["kernels"].append(kernel)
    run_script(script, spec=spec, **given)
    return open_store(given["out"]), phi, g[0]


def test_each_half_has_its_own_features_and_gradients(tmp_path):
    scores, phi, g = made(tmp_path, "score_graddot", targets=("a", "b"))
    assert scores["score_by_half"].shape == (2, 2, IMAGES) and "score_by_checkpoint" not in scores
    assert np.allclose(read(scores["score_by_half"]), np.einsum("nhd,shd->hsn", phi[0], g[0]), atol=1e-5)
    assert np.allclose(read(scores["score"]), g[0].mean(1) @ phi[0].mean(1).T, atol=1e-5)


def test_halves_share_the_kernel_of_all_draws(tmp_path):
    scores, phi, g = made(tmp_path, "score_trak")
    whole = phi[0].mean(1).astype(float)
    gram = whole.T @ whole
    inverse = np.linalg.inv(gram + 0.1 * np.trace(gram) / D * np.eye(D))
    for half in (0, 1):
        expected = g[0][:, half] @ inverse @ phi[0][:, half].T
        assert np.allclose(read(scores["score_by_half"])[half], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "models, asked, there", [(2, None, True), (1, None, False), (1, True, True), (2, False, False)]
)
def test_checkpoints_are_kept_where_there_are_several_or_as_asked(tmp_path, models, asked, there):
    scores, *_ = made(tmp_path, "score_graddot", models, asked, halves=False)
    assert ("score_by_checkpoint" in scores) is there and "score_by_half" not in scores
