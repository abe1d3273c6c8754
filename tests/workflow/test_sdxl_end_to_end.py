"""An SDXL model that somebody has, tiny and with random weights, from captioned images to scores."""

import numpy as np
import pandas as pd
import xarray as xr
from PIL import Image
from pipelines import POOLED, SDXL_UNET, sdxl
from workspace import Workspace

CONFIG = {
    "experiment": "tiny",
    "store": "store",
    "data": {"source": "imagefolder", "path": "photos", "size": 32},
    "vae": {"path": "model"},
    "text_encoder": {"path": "model"},
    "checkpoints": {"paths": ["model"], "sampler": "ddpm", "timestep_spacing": "leading"},
    "sampling": {"steps": 20, "guidance": 3},
    "attribution": {"steps": [101, 501], "train_draws": 2, "target_draws": 2},
    "projection": {"dim": 16},
    "methods": {"trak": {}, "fisher": {"kernel": {"rows": 16}}},
    "targets": [{"id": "a", "seed": 1, "prompt": "a red square"}],
}
IMAGES = 8


def test_an_sdxl_model_is_attributed(tmp_path):
    sdxl(tmp_path / "model")
    (tmp_path / "photos").mkdir()
    rng, rows = np.random.default_rng(0), []
    for k in range(IMAGES):
        name = f"{k}.png"
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(tmp_path / "photos" / name)
        rows.append({"file_name": name, "text": f"a thing of kind {k}"})
    pd.DataFrame(rows).to_csv(tmp_path / "photos/metadata.csv", index=False)
    workspace = Workspace(tmp_path, CONFIG, warm=True)
    done = workspace.snakemake("scores")
    assert done.returncode == 0, done.stdout + done.stderr
    data = xr.open_zarr(workspace.store / "data/train.zarr")
    width = SDXL_UNET["cross_attention_dim"]
    assert data["text_embedding"].shape == (IMAGES, 12 + 1, width) and data["latent"].shape == (IMAGES, 4, 4, 4)
    assert POOLED <= width and float(np.abs(data["null_embedding"]).max()) == 0
    for method in CONFIG["methods"]:
        score = xr.open_zarr(workspace.store / f"scores/{method}/a.zarr")["score"]
        assert score.shape == (2, IMAGES) and np.isfinite(score).all() and float(score.std()) > 0
