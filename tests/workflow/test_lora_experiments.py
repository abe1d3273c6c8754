"""Adapters of Stable Diffusion 1.5 and of SDXL: files of experiments that are planned here, with tiny bases."""

import numpy as np
import pytest
import yaml
from PIL import Image
from pipelines import sdxl, stable_diffusion
from workspace import REPOSITORY, Workspace

SMALL = {"sd15-lora": (stable_diffusion, 8), "sdxl-lora": (sdxl, 32)}


@pytest.mark.parametrize("name", SMALL)
def test_experiments_of_adapters_are_planned(tmp_path, name):
    config = yaml.safe_load((REPOSITORY / f"experiments/{name}.yaml").read_text())
    made, config["data"]["size"] = SMALL[name]
    made(tmp_path / "base")
    for section, key in (("vae", "path"), ("text_encoder", "path"), ("checkpoints", "base")):
        assert "/" in config[section][key]  # an id of the hub, which is asked for nothing here
        config[section][key] = "base"
    (tmp_path / "photos").mkdir()
    for k in range(4):
        Image.fromarray(np.full((40, 40, 3), 60 * k, np.uint8)).save(tmp_path / f"photos/{k}.png")
        (tmp_path / f"photos/{k}.txt").write_text(f"picture {k}")
    planned = Workspace(tmp_path, config).planned()
    counts = {rule: sum(job.split()[0] == rule for job in planned) for rule in ("train", "train_subset", "curvature")}
    assert counts == {"train": 4, "train_subset": 64, "curvature": 4}
    assert any(job.startswith("score_ekfac") for job in planned)
