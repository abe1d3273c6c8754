"""Methods that need no pass over the model: trak-sum and norm; and the table of halves."""

import numpy as np
import pandas as pd
import pytest
from support import run_script, store

from waypoint.store.zarr.reader import open_store

N, D, STEPS = 9, 6, [100, 500]


def numbers(*shape, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_norm_is_the_mean_length_of_the_features(tmp_path):
    phi = [numbers(N, D, seed=m) for m in (0, 1, 2)]
    features = [store(tmp_path / f"{m}.zarr", phi=(["train", "feature"], rows)) for m, rows in enumerate(phi)]
    given, out = {"features": features, "method": "norm", "target": "a"}, tmp_path / "n.zarr"
    run_script("score_norm", spec={"target": {"steps": STEPS}}, **given, out=out)
    found = open_store(out)
    assert found.attrs["method"] == "norm" and found.attrs["target"] == "a"
    lengths = np.array([[np.sqrt(sum(float(x) ** 2 for x in row)) for row in rows] for rows in phi])
    assert np.allclose(found["score"][:], np.tile(lengths.mean(0), (2, 1)), rtol=1e-6)
    assert np.allclose(found["score_se"][:], np.tile(lengths.std(0, ddof=1) / 3**0.5, (2, 1)), rtol=1e-5)


def test_trak_sum_has_one_row_for_all_steps(tmp_path):
    tau = numbers(2, N, seed=5)
    arrays = {"score": (["step", "train"], tau), "step": (["step"], np.array(STEPS))}
    scores = store(tmp_path / "trak.zarr", {"method": "trak", "target": "a"}, **arrays)
    named = {"method": "trak-sum", "target": "a"}
    run_script("score_trak_sum", spec={}, scores=scores, **named, out=tmp_path / "sum.zarr")
    found = open_store(tmp_path / "sum.zarr")
    expected = tau[0] / tau[0].std() + tau[1] / tau[1].std()
    assert found.attrs["method"] == "trak-sum" and found["step"][:].tolist() == STEPS
    assert np.allclose(found["score"][:], [expected, expected], atol=1e-5)


def split_half(tmp_path, each, phi_half=None, g_half=None, weights=("w0", "w1")):
    """The table for one target with these scores by checkpoint, and halves of features and gradients."""
    mean = each.mean(0)
    error = each.std(0, ddof=1) / len(each) ** 0.5
    dims = ["checkpoint", "step", "train"]
    arrays = {"score": (dims[1:], mean), "score_se": (dims[1:], error), "score_by_checkpoint": (dims, each)}
    arrays["step"] = (["step"], np.array(STEPS))
    given = {"scores": [store(tmp_path / "s.zarr", {"method": "trak", "target": "a"}, **arrays)]}
    given |= {"features": [], "gradients": []}
    if phi_half is not None:
        for m, rows in enumerate(phi_half):
            halves = (["train", "half", "feature"], rows)
            given["features"].append(store(tmp_path / f"p{m}.zarr", {"weights": f"w{m}"}, phi_half=halves))
        dims = ["checkpoint", "step", "half", "feature"]
        given["gradients"] = [store(tmp_path / "g.zarr", {"weights": weights}, g_half=(dims, g_half))]
    spec = {"checkpoints": ["full/0", "full/1"], "kernel": {"damping": 0.1}}
    run_script("split_half", spec=spec, **given, out=tmp_path / "r.csv")
    return pd.read_csv(tmp_path / "r.csv")


def spearman(a, b):
    return np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1]


def test_halves_of_the_checkpoints_are_even_and_odd_ones(tmp_path):
    each = numbers(5, 2, N, seed=3)
    table = split_half(tmp_path, each)
    assert table["halves"].tolist() == ["checkpoints"] * 2 and table["step"].tolist() == STEPS
    expected = [spearman(each[[0, 2, 4], s].mean(0), each[[1, 3], s].mean(0)) for s in (0, 1)]
    assert np.allclose(table["spearman"], expected, atol=1e-5)


def test_halves_of_the_draws_have_kernels_of_their_own(tmp_path):
    phi, g = numbers(2, N, 2, D, seed=7), numbers(2, 2, 2, D, seed=8)
    table = split_half(tmp_path, numbers(2, 2, N, seed=3), phi, g).query("halves == 'draws'")
    scores = np.zeros((2, 2, N))
    for m in (0, 1):
        for half in (0, 1):
            rows = phi[m, :, half].astype(float)
            kernel = rows.T @ rows
            kernel += 0.1 * np.trace(kernel) / D * np.eye(D)
            scores[half] += g[m, :, half] @ np.linalg.inv(kernel) @ rows.T
    assert np.allclose(table["spearman"], [spearman(scores[0, s], scores[1, s]) for s in (0, 1)], atol=1e-5)


def test_features_and_gradients_of_other_weights_are_refused(tmp_path, capsys):
    phi, g = numbers(2, N, 2, D, seed=7), numbers(2, 2, 2, D, seed=8)
    with pytest.raises(SystemExit):
        split_half(tmp_path, numbers(2, 2, N, seed=3), phi, g, ("w0", "other"))
    assert "p1.zarr and the gradients of a come from different weights" in capsys.readouterr().err


def test_one_checkpoint_has_no_halves(tmp_path):
    each = numbers(1, 2, N, seed=3)
    arrays = {"score_by_checkpoint": (["checkpoint", "step", "train"], each), "score": (["step", "train"], each[0])}
    arrays["step"] = (["step"], np.array(STEPS))
    scores = [store(tmp_path / "s.zarr", {"method": "trak", "target": "a"}, **arrays)]
    spec = {"checkpoints": ["full/0"], "kernel": {"damping": 0.1}}
    run_script("split_half", spec=spec, scores=scores, features=[], gradients=[], out=tmp_path / "r.csv")
    assert pd.read_csv(tmp_path / "r.csv").empty
