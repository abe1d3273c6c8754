"""Counterfactual and forgetting through Snakemake to their tables, and what reruns when something is added."""

import copy

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from workspace import CONFIG, Workspace, of_checkpoint, scores

METHODS = ("pixel", "random")
SHARED = {"targets": ["a"], "step": 500, "n_remove": [0.1], "methods": ["pixel"]}
REMOVALS = {
    **CONFIG,
    "checkpoints": {"count": 3},
    "targets": [{"id": "a", "seed": 1}, {"id": "b", "seed": 2, "checkpoint": "full/1"}],
    "methods": list(METHODS),
    "evaluation": {
        "fid": {"features": "classifier"},
        "classifier": {"width": 2, "epochs": 1},
        "counterfactual": {**SHARED, "delta": 100, "images": 40},
        "forgetting": SHARED,
    },
}
TABLES = ["store/tiny/tables/counterfactual_fid.csv", "store/tiny/tables/forgetting.csv"]
COMPARISONS = [table.replace(".csv", "_comparison.csv") for table in TABLES]
FIGURES = ["store/tiny/figures/counterfactual_fid.png", "store/tiny/figures/forgetting.png"]
OUTPUTS = ["counterfactual_table", "forgetting_table", "plot_counterfactual", "plot_forgetting"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("removals") / "work", REMOVALS, warm=True)
    done = workspace.snakemake(*TABLES, *COMPARISONS, *FIGURES, cores="2")
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace


def changed(workspace, methods=None, evaluation=None):
    """The same working directory with other settings of both evaluations, {section: settings}."""
    sections = copy.deepcopy(REMOVALS["evaluation"])
    for section, settings in (evaluation or {}).items():
        sections[section] |= settings
    return workspace.changed(evaluation=sections, methods=methods or list(METHODS))


def evaluations(method, target):
    """The jobs of a method's removals for a target, beside the training."""
    return [f"{rule} method={method}, target={target}" for rule in ("counterfactual_without", "forgetting")]


def test_tables_hold_every_method(tiny):
    fid, forgetting = (pd.read_csv(tiny.folder / table, keep_default_na=False) for table in TABLES)
    assert dict(zip(fid.method, fid.note)) == {"pixel": "", "random": "mean of 3 removals"}
    assert set(fid.n_remove) == {4} and set(fid.delta) == {100} and set(fid.features) == {"classifier"}
    assert np.allclose(fid.fid_increase, fid.fid - fid.fid_baseline, rtol=1e-3, atol=1e-5 * fid.fid.max())
    assert forgetting.set_index("method").n_remove.to_dict() == {"pixel": 4, "random": 4, "none": 0}
    assert (forgetting.l2 > 0).all() and np.isfinite(fid.fid).all()


def test_methods_are_compared(tiny):
    for table, others in zip(COMPARISONS, ({"random"}, {"random", "none"})):
        found = pd.read_csv(tiny.folder / table, keep_default_na=False)
        assert set(found[found.method == "pixel"].versus) == others and set(found.targets) == {1}
    assert tiny.planned(*COMPARISONS) == []


def test_stores_open_in_xarray(tiny):
    found = xr.open_zarr(tiny.store / "evaluation/counterfactual/random/a.zarr")
    assert found["fid"].dims == ("n_remove", "removal") and found["n_remove"].values.tolist() == [0.1]
    assert found["removed"].values.tolist() == [4] and found["removal"].values.tolist() == [0, 1, 2]
    original = xr.open_zarr(tiny.store / "evaluation/counterfactual/a.zarr")
    assert original["feature"].dims == ("image", "feature") and original["feature"].shape == (40, 8)
    assert original["baseline"].values.tolist() == ["full/1", "full/2"]
    image = xr.open_zarr(tiny.store / "evaluation/forgetting/pixel/a.zarr")["image"]
    assert image.dims == ("n_remove", "removal", "channel", "y", "x")


def test_second_run_plans_nothing(tiny):
    assert tiny.planned(*TABLES, *FIGURES) == []


def test_added_method_plans_only_its_part(tiny):
    both = {section: {"methods": ["pixel", "trak"]} for section in ("counterfactual", "forgetting")}
    planned = changed(tiny, methods=["trak", *METHODS], evaluation=both).planned(*TABLES, *FIGURES)
    expected = [job for m in range(3) for job in of_checkpoint(m)]
    expected += ["target_gradients target=a, basis=plain", *scores("a", ["trak"]), *evaluations("trak", "a"), *OUTPUTS]
    expected += ["train_without method=trak, target=a, step=500, n_remove=0.1"]
    assert planned == sorted(expected)


def test_added_target_plans_only_its_part(tiny):
    """Random removals serve all targets: their models stay."""
    both = {section: {"targets": ["a", "b"]} for section in ("counterfactual", "forgetting")}
    expected = ["sample_trajectory target=b", *scores("b", ["pixel"]), "counterfactual_original target=b", *OUTPUTS]
    expected += ["train_without method=pixel, target=b, step=500, n_remove=0.1", "forgetting method=none, target=b"]
    expected += [job for method in METHODS for job in evaluations(method, "b")]
    assert changed(tiny, evaluation=both).planned(*TABLES, *FIGURES) == sorted(expected)


def test_more_images_plan_the_counterfactual_alone(tiny):
    expected = ["counterfactual_original target=a", "counterfactual_table", "plot_counterfactual"]
    expected += [evaluations(method, "a")[0] for method in METHODS]
    found = changed(tiny, evaluation={"counterfactual": {"images": 50}}).planned(*TABLES, *FIGURES)
    assert found == sorted(expected)


def test_distances_of_another_classifier_are_made_again_elsewhere(tiny, tmp_path):
    """A working directory without Snakemake's records is not served distances of another classifier."""
    other = Workspace(tmp_path / "other", copy.deepcopy({**REMOVALS, "store": str(tiny.folder / "store")}))
    other.config["evaluation"]["classifier"]["epochs"] = 2
    expected = ["train_classifier kind=standard", "counterfactual_original target=a", "counterfactual_table"]
    expected += [evaluations(method, "a")[0] for method in METHODS]
    assert other.planned(f"{other.config['store']}/tiny/tables/counterfactual_fid.csv") == sorted(expected)


@pytest.mark.parametrize("file,words", [("away.pth", "cannot be read"), ("other.pth", "begins with")])
def test_weights_are_asked_for_before_any_job(tmp_path, file, words):
    workspace = Workspace(tmp_path / "work", copy.deepcopy(REMOVALS))
    workspace.config["evaluation"]["fid"] = {"weights": file, "dims": 64}
    workspace.config["evaluation"]["counterfactual"]["images"] = 80
    (workspace.folder / "other.pth").write_bytes(b"other")
    assert "counterfactual_original target=a" in workspace.planned(TABLES[0])
    done = workspace.snakemake(TABLES[0])
    text = done.stdout + done.stderr
    assert done.returncode != 0 and "Traceback" not in text and not workspace.store.exists()
    (line,) = [line for line in text.splitlines() if line.startswith("Waypoint: evaluation.fid")]
    for part in ("evaluation.fid.weights", file, words, "evaluation.fid.features: classifier"):
        assert part in line
    # what needs no distance needs no weights
    assert workspace.snakemake("store/tiny/data/train.zarr").returncode == 0
