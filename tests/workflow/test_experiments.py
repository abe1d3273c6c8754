"""The experiments that ship: their plans, and CIFAR-10's full model at a small size (slow)."""

import io
import json
import pickle
import re
import tarfile

import numpy as np
import pytest
import xarray as xr
import yaml
from test_end_to_end import REPOSITORY, Workspace

from waypoint.store import datasets, models

CIFAR10 = yaml.safe_load((REPOSITORY / "experiments/cifar10.yaml").read_text())


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Real digits at 32 × 32, tinted, in the official CIFAR-10 python format: five batches of 13 images."""
    grey = [datasets.resized(image, 32) for image in datasets.digits({}).images[:65]]
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
    expected = {"prepare_data": 1, "top_influences": 1, "trajectory_panel": 300, "total": 1103, "all": 1}
    for rule in ("train", "featurize", "factor_kernel", "sample_trajectory", "target_gradients"):
        expected[rule] = 100
    for method in CIFAR10["methods"]:
        expected[f"score_{method}"] = 100
    assert {rule: int(n) for rule, n in counts.items()} == expected


def test_cifar10_has_the_published_models_size():
    theta = models.build(CIFAR10["model"], 0, "full/0")
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
    config["targets"] = [{"id": "image-000", "seed": 0}]
    workspace = Workspace(tmp_path / "work", config)
    done = workspace.snakemake(cores="2")
    assert done.returncode == 0, done.stdout + done.stderr
    for method in config["methods"]:
        score = xr.open_zarr(workspace.store / f"scores/{method}/image-000.zarr")["score"]
        assert score.shape == (2, 64) and np.isfinite(score).all() and float(score.std()) > 0
    assert (workspace.store / "figures/image-000/trak.png").is_file()
