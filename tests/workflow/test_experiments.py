"""The experiments that ship: their plans, and CIFAR-10's full model at a small size (slow)."""

import io
import json
import pickle
import re
import tarfile

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from support import random_inception
from workspace import REPOSITORY, Workspace

from waypoint.store.data.digits import digits
from waypoint.store.data.fitting import resized
from waypoint.store.networks import checkpoints

CIFAR10 = yaml.safe_load((REPOSITORY / "experiments/cifar10.yaml").read_text())


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Real digits at 32 × 32, tinted, in the official CIFAR-10 python format: five batches of 13 images."""
    grey = [resized(image, 32) for image in digits({}).images[:65]]
    tint = np.random.default_rng(0).uniform(0.3, 1, (65, 3, 1, 1))
    rgb = np.round((np.stack(grey) + 1) / 2 * 255 * tint).astype(np.uint8)
    path = tmp_path_factory.mktemp("raw") / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for batch in range(5):
            rows = rgb[batch * 13 : (batch + 1) * 13]
            raw = pickle.dumps({b"data": rows.reshape(13, -1), b"labels": [k % 10 for k in range(13)]}, protocol=2)
            info = tarfile.TarInfo(f"cifar-10-batches-py/data_batch_{batch + 1}")
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    return path


def test_cifar10_plans_the_papers_experiment(archive, tmp_path):
    config = {**CIFAR10, "data": {**CIFAR10["data"], "path": str(archive)}}
    config["targets"] = str(REPOSITORY / CIFAR10["targets"])
    done = Workspace(tmp_path / "work", config).snakemake("--dry-run", "--quiet", "rules")
    counts = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.M))
    methods, targets, counts_removed = CIFAR10["methods"], 100, 3
    expected = {"prepare_data": 1, "near_duplicates": 1, "trajectory_panel": targets * len(methods), "all": 1}
    for rule in ("train", "contact_sheet", "featurize", "factor_kernel"):
        expected[rule] = 100
    for rule in ("sample_trajectory", "target_gradients", "subset_outputs"):
        expected[rule] = targets
    for method in methods:
        expected[f"score_{method.replace('-', '_')}"] = targets
    # 100 subsets of 5 models each; without the top images of trak and pixel, for 50 and 60 targets; 3 random removals
    expected |= {"draw_subsets": 1, "train_subset": 100, "list_subset_models": 1}
    expected |= {"train_without": 2 * counts_removed * (50 + 60), "train_without_random": 3 * counts_removed}
    # trak, pixel and random; forgetting also with nothing removed
    expected |= {"counterfactual_original": 50, "counterfactual_without": 3 * 50, "forgetting": 4 * 60}
    expected |= {"sample_from_x_t": 100, "plot_likelihood": 10, "train_classifier": 2}
    tables = "lds_tables counterfactual_table forgetting_table one_step_error split_half top_influences"
    tables += " feature_likelihood seed_consistency step_correlation sign_overlap top_overlap"
    plots = "lds lds_cross lds_panels counterfactual forgetting one_step_error seed_consistency split_half"
    plots += " step_correlation sign_overlap sign_flips top_overlap"
    expected |= dict.fromkeys(tables.split() + [f"plot_{name}" for name in plots.split()], 1)
    expected["compare_removals"] = 2
    expected["total"] = sum(expected.values())
    assert {rule: int(n) for rule, n in counts.items()} == expected
    jobs = f"{expected['total'] - 1:,}"  # all but the rule `all`, which makes nothing
    assert f"| in all | {jobs} |" in (REPOSITORY / "docs/scaling.md").read_text()
    assert f"its dry run plans {jobs} jobs" in (REPOSITORY / "docs/what-was-run.md").read_text().replace("\n", " ")


def test_cifar10_has_the_published_models_size():
    theta = checkpoints.build(CIFAR10["model"], 0, "full/0")
    assert sum(q.numel() for q in theta.unet.parameters()) == 35_746_307
    assert not theta.unet.config.flip_sin_to_cos and theta.unet.config.freq_shift == 1


@pytest.mark.slow
def test_cifar10_runs_to_its_scores_with_the_full_model(archive, tmp_path):
    """64 images, 2 checkpoints, 1 epoch, d = 512; the UNet of 35.7 M parameters."""
    config = json.loads(json.dumps(CIFAR10))
    config["data"] = {"source": "cifar10", "path": str(archive), "subset": 64}
    config["training"] |= {"epochs": 1, "batch_size": 16}
    config["checkpoints"] = {"count": 2}
    config["attribution"] |= {"steps": [100, 500], "train_draws": 2, "target_draws": 2}
    config["projection"]["dim"] = 512
    config["kernel"]["damping"] = 0.03  # 64 images for d = 512: the dual form, which needs damping
    config["evaluation"] = {}  # the next test's
    config["targets"] = [{"id": "image-000", "seed": 0}]
    workspace = Workspace(tmp_path / "work", config)
    done = workspace.snakemake(cores="2")
    assert done.returncode == 0, done.stdout + done.stderr
    for method in config["methods"]:
        score = xr.open_zarr(workspace.store / f"scores/{method}/image-000.zarr")["score"]
        assert score.shape == (2, 64) and np.isfinite(score).all() and float(score.std()) > 0
    assert (workspace.store / "figures/image-000/trak.png").is_file()


@pytest.mark.slow
def test_cifar10_runs_to_its_last_table(archive, tmp_path):
    """Everything that cifar10.yaml evaluates, with its sizes overridden and a random-weight Inception."""
    config = json.loads(json.dumps(CIFAR10))
    config["data"] = {"source": "cifar10", "path": str(archive), "subset": 64}
    config["model"]["unet"] |= {"block_out_channels": [32, 32, 64, 64], "layers_per_block": 1}
    config["training"] |= {"epochs": 2, "batch_size": 16}
    config["checkpoints"] = {"count": 3}
    config["sampling"]["steps"] = 10
    config["attribution"] |= {"steps": [300, 400, 500], "train_draws": 2, "target_draws": 2}
    config["projection"]["dim"] = 64
    config["kernel"]["damping"] = 0.03
    config["targets"] = [{"id": f"image-00{k}", "seed": k} for k in range(2)]
    weights = tmp_path / "random.pth"
    sizes = {
        "lds": {"subsets": 3, "models_per_subset": 2, "checkpoints": [1, 2]},
        "fid": {"weights": str(weights), "sha256": random_inception(weights), "dims": 64},
        "counterfactual": {"targets": 1, "n_remove": [4, 0.25], "images": 70},
        "forgetting": {"targets": 1, "n_remove": [4, 0.25]},
        "samples": {"targets": 2, "steps": [300, 500], "number": 4},
        "classifier": {"epochs": 1, "width": 4},
        "sign_overlap": {"top_k": [5, 10]},
        "top_overlap": {"top_k": [5]},
    }
    for section, changes in sizes.items():
        config["evaluation"][section] |= changes
    workspace = Workspace(tmp_path / "work", config)
    done = workspace.snakemake(cores="2")
    assert done.returncode == 0, done.stdout + done.stderr
    tables = {file.stem: pd.read_csv(file) for file in (workspace.store / "tables").glob("*.csv")}
    names = "lds lds_summary lds_cross lds_overall lds_comparison counterfactual_fid forgetting seed_consistency"
    names += " one_step_error"
    names += (
        " feature_likelihood steepest_intervals step_correlation sign_overlap top_overlap split_half top_influences"
    )
    assert set(tables) == set(names.split()) and all(len(table) for table in tables.values())
    fid = tables["counterfactual_fid"]
    assert set(fid["features"]) == {f"inception-{config['evaluation']['fid']['sha256'][:8]}-64"}
    assert set(fid["n_remove"]) == {4, 16} and np.isfinite(fid["fid_increase"]).all()
    assert set(tables["forgetting"]["method"]) == {"trak", "pixel", "random", "none"}
    assert np.isfinite(tables["lds_summary"]["mean"]).any()
