"""Methods in the whole workflow: kernels of their own on shared features, scores from elsewhere, all in every table."""

import copy

import numpy as np
import pandas as pd
import pytest
import xarray
from workspace import CONFIG, Workspace

from waypoint.store.zarr.reader import open_store, read

METHODS = {
    "trak": {},
    "trak-strong": {"method": "trak", "kernel": {"damping": 0.3}},
    "strong-sum": {"method": "trak-sum", "of": "trak-strong"},
    "mine": {"scores": "own"},
    "graddot": None,
    "gradcos": None,
    "fisher": {"kernel": {"rows": 12}},
    "wiener": {},
    "random": {},
}
EVALUATION = {"lds": {"subsets": 3, "models_per_subset": 1}, "step_correlation": {}, "top_overlap": {"top_k": [3]}}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("methods")
    own = np.random.default_rng(0).standard_normal((2, 40))
    for target in "ab":
        variables = {"score": (("step", "train"), own + ord(target))}
        xarray.Dataset(variables, {"step": [100, 500]}).to_zarr(folder / f"own/{target}.zarr", mode="w")
    config = {**copy.deepcopy(CONFIG), "methods": METHODS, "evaluation": EVALUATION}
    workspace = Workspace(folder, config, warm=True)
    run = workspace.snakemake()
    assert run.returncode == 0, run.stdout + run.stderr
    return workspace


def test_every_table_and_every_panel_has_every_method(done):
    for name in ("lds", "lds_summary", "top_influences", "top_overlap"):
        found = set(pd.read_csv(done.store / f"tables/{name}.csv")["method"]) - {"retrain", "ceiling"}
        assert found == set(METHODS), name
    by_step = pd.read_csv(done.store / "tables/step_correlation.csv")["method"]
    assert set(by_step) == METHODS.keys() - {"strong-sum"}
    for target in "ab":
        assert {path.stem for path in (done.store / f"figures/{target}").iterdir()} >= METHODS.keys()


def test_features_and_gradients_are_made_once_and_kernels_for_each(done):
    def made(folder):
        """The stores in the folder, without the group of the hierarchy."""
        return {path.name for path in (done.store / folder).iterdir()} - {"zarr.json"}

    assert made("features") == made("fisher") == {"plain"} and made("targets/a/gradients") == {"plain.zarr"}
    assert made("kernels") == {"trak", "trak-strong", "fisher"}


@pytest.mark.parametrize("method, damping", [("trak", 0.03), ("trak-strong", 0.3)])
def test_scores_have_the_damping_of_their_method(done, method, damping):
    expected = 0
    for m in range(2):
        phi = read(open_store(done.store / f"features/plain/full/{m}.zarr")["phi"]).astype(np.float64)
        g = read(open_store(done.store / "targets/a/gradients/plain.zarr")["g"])[m].astype(np.float64)
        kernel = phi.T @ phi
        kernel += damping * np.trace(kernel) / min(phi.shape) * np.eye(len(kernel))
        expected = expected + g @ np.linalg.solve(kernel, phi.T) / 2
    score = read(open_store(done.store / f"scores/{method}/a.zarr")["score"])
    np.testing.assert_allclose(score, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_scores_with_a_fisher_kernel_are_those_of_its_rows(done):
    """12 rows and d = 16: the dual form, against the whole matrix."""
    expected = 0
    for m in range(2):
        u, phi = (
            read(open_store(done.store / f"{kind}/plain/full/{m}.zarr")[name]).astype(np.float64)
            for kind, name in (("fisher", "u"), ("features", "phi"))
        )
        g = read(open_store(done.store / "targets/a/gradients/plain.zarr")["g"])[m].astype(np.float64)
        kernel = u.T @ u / len(u)
        kernel += 0.3 * np.trace(kernel) / len(kernel) * np.eye(len(kernel))
        expected = expected + g @ np.linalg.solve(kernel, phi.T) / 2
    score = read(open_store(done.store / "scores/fisher/a.zarr")["score"])
    assert u.shape == (12, 16)
    np.testing.assert_allclose(score, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("kernel, makes_rows", [({"rows": 12, "damping": 0.5}, False), ({"rows": 11}, True)], ids=str)
def test_other_settings_of_a_fisher_kernel_plan_what_depends_on_them(done, kernel, makes_rows):
    planned = done.changed(methods={**METHODS, "fisher": {"kernel": kernel}}).planned("--config", "replace=true")
    of_scores = {
        job for job in planned if job.startswith(("factor", "score", "fisher", "featurize", "target", "train"))
    }
    expected = {f"factor_kernel method=fisher, checkpoint=full/{m}" for m in (0, 1)}
    expected |= {f"score_fisher method=fisher, target={target}" for target in "ab"}
    if makes_rows:
        expected |= {f"fisher_rows basis=plain, checkpoint=full/{m}" for m in (0, 1)}
    assert of_scores == expected


def test_trajectory_scores_are_those_of_the_method_that_they_name(done):
    score = read(open_store(done.store / "scores/trak-strong/a.zarr")["score"]).astype(np.float64)
    total = read(open_store(done.store / "scores/strong-sum/a.zarr")["score"])
    np.testing.assert_allclose(total[0], (score / score.std(1, keepdims=True)).sum(0), rtol=1e-5)


def test_own_scores_are_taken_as_they_are(done):
    given = xarray.open_zarr(done.folder / "own/b.zarr")["score"].values
    assert np.array_equal(read(open_store(done.store / "scores/mine/b.zarr")["score"]), given.astype(np.float32))


def test_other_own_scores_are_taken_anew_and_what_lists_methods_follows(done):
    own = done.folder / "own/a.zarr"
    with xarray.open_zarr(own) as found:
        changed = found.load() + 1
    changed.to_zarr(own, mode="w")
    planned = done.planned()
    assert planned[:1] == ["import_scores method=mine, target=a"] or "import_scores target=a, method=mine" in planned
    rules = {job.split()[0] for job in planned}
    tables = {"lds_tables", "top_influences", "top_overlap", "step_correlation"}
    assert rules >= tables and not rules & {"featurize", "train", "train_subset", "score_trak", "target_gradients"}
