"""Stable Diffusion analyses through Snakemake (B.2, B.6): given models, no training images, tiny random weights."""

import copy
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
import yaml
from pipelines import stable_diffusion
from safetensors.torch import load_file
from support import tiny_clip
from workspace import REPOSITORY, Workspace


def small(name):
    """An experiment that ships, with models in folders 0, 1 …, their encoders, and a little of what it samples."""
    config = yaml.safe_load((REPOSITORY / f"experiments/{name}.yaml").read_text())
    config |= {"experiment": "tiny", "store": "store", "vae": {"path": "0"}, "text_encoder": {"path": "0"}}
    config["checkpoints"]["paths"] = [str(k) for k in range(len(config["checkpoints"]["paths"]))]
    return config


CONFIG = small("stable-diffusion")
CONFIG["attribution"]["steps"] = [49, 499, 999]
CONFIG["image_encoders"]["clip"]["path"] = "clip"
CONFIG["targets"].append({"id": "vase", "seed": 2, "prompt": "A $green$ vase"})
CONFIG["evaluation"]["samples"] = {"targets": ["chair"], "number": 6}
SEEDS = small("stable-diffusion-seeds")
SEEDS["sampling"]["steps"], SEEDS["targets"] = 10, SEEDS["targets"][:2]
MADE = [
    "encoders/vae/waypoint.json",
    "encoders/text/waypoint.json",
    "targets/chair/trajectory.zarr",
    "targets/vase/trajectory.zarr",
    "targets/chair/samples.zarr",
    "tables/feature_likelihood.csv",
    "tables/steepest_intervals.csv",
    "tables/one_step_error.csv",
    "figures/chair/trajectory.png",
    "figures/likelihood-chair.png",
    "figures/one_step_error.png",
]


def ran(workspace):
    done = workspace.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    workspace.output = done.stdout + done.stderr
    return workspace


def complaints(workspace):
    """Lines of a run's output and of its jobs' logs that speak of an error."""
    logs = [file.read_text() for file in (workspace.store / "logs").rglob("*") if file.is_file()]
    assert logs
    lines = [line for text in (workspace.output, *logs) for line in text.splitlines()]
    return [line for line in lines if re.search(r"\b(Error|ERROR|Traceback)\b|\berror( occurred|:)", line)]


def as_bin(model):
    """Turn a UNet's weights into those of an older diffusers: a pickle named .bin."""
    weights = Path(model, "unet/diffusion_pytorch_model.safetensors")
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given") / "work"
    workspace = Workspace(folder, copy.deepcopy(CONFIG))
    stable_diffusion(folder / "0", prediction_type="v_prediction")
    tiny_clip(folder / "clip")
    return ran(workspace)


def test_it_runs_to_its_last_table_and_figure(analysed):
    assert [file for file in MADE if not (analysed.store / file).exists()] == []
    made = {path.name for path in analysed.store.iterdir()}
    assert made == {"encoders", "checkpoints", "targets", "tables", "figures", "logs", "zarr.json"}
    assert not list(analysed.store.rglob("gradients")) and "warning" not in analysed.output.lower()
    assert complaints(analysed) == []


def test_the_chain_starts_at_the_last_training_step(analysed):
    found = xr.open_zarr(analysed.store / "targets/chair/trajectory.zarr")
    assert list(found["step"].values[:4]) == [999, 996, 992, 989]
    assert found["x_t"].shape == (300, 4, 4, 4) and found["image"].shape == (3, 8, 8)


def test_samples_lie_beside_what_their_step_is_decoded_to(analysed):
    found = xr.open_zarr(analysed.store / "targets/chair/samples.zarr")
    assert found["sample"].shape == (3, 6, 3, 8, 8) and list(found["step"].values) == [49, 499, 999]
    for name in ("x_t_image", "x0_hat_image"):
        assert found[name].shape == (3, 3, 8, 8) and float(abs(found[name]).max()) <= 1
    assert float(found["sample"].std("number").max()) > 0


def test_tables_hold_the_sampled_target(analysed):
    table = pd.read_csv(analysed.store / "tables/feature_likelihood.csv")
    assert set(table["target"]) == {"chair"} and set(table["classifier"]) == {"clip"} and set(table["samples"]) == {6}
    assert sorted(table["step"]) == [49, 499, 999] and table["likelihood"].between(0, 1).all()
    assert np.isfinite(pd.read_csv(analysed.store / "tables/one_step_error.csv")["l2"]).all()


def test_a_second_run_plans_nothing(analysed):
    assert analysed.planned() == []


def test_closing_words_name_what_there_is(analysed):
    words = analysed.output.split("Done.")[1]
    assert "figures/*/*.png" in words and "report.zip" in words
    assert "top_influences" not in words and "scores" not in words


def test_another_prompt_reruns_its_own_target_only(analysed):
    rows = copy.deepcopy(CONFIG["targets"])
    rows[1]["prompt"] = "two vases"
    assert analysed.changed(targets=rows).planned() == ["sample_trajectory target=vase"]


def test_other_captions_sample_nothing_again(analysed):
    evaluation = copy.deepcopy(CONFIG["evaluation"])
    evaluation["caption_likelihood"]["captions"]["chair"].reverse()
    found = analysed.changed(evaluation=evaluation).planned()
    assert found == ["feature_likelihood", "plot_likelihood target=chair"]


def test_another_spacing_is_noticed_without_snakemakes_records(analysed, tmp_path):
    shutil.copytree(analysed.folder, tmp_path / "work", symlinks=True, copy_function=shutil.copy2)
    shutil.rmtree(tmp_path / "work/.snakemake")
    checkpoints = {**CONFIG["checkpoints"], "timestep_spacing": "linspace"}
    other = Workspace(tmp_path / "work", {**CONFIG, "checkpoints": checkpoints, "attribution": {"steps": [0, 999]}})
    done = other.snakemake()
    text = done.stdout + done.stderr
    assert done.returncode != 0 and "would replace 1 model" in text
    assert "checkpoints.timestep_spacing was 'trailing' and is now 'linspace'" in text


# ---- two families of models (B.2)


def test_two_models_with_other_configs_are_compared(tmp_path):
    """One of them is in the older form, of which a run that goes well makes no words of an error."""
    workspace = Workspace(tmp_path / "work", SEEDS, warm=True)
    stable_diffusion(tmp_path / "work/0")
    stable_diffusion(tmp_path / "work/1", seed=1, norm_eps=1e-6)
    as_bin(tmp_path / "work/1")
    ran(workspace)
    assert complaints(workspace) == []
    table = pd.read_csv(workspace.store / "tables/seed_consistency.csv")
    assert len(table) == 4 and set(table["noise"]) == {"same", "independent"} and (table["l2"] > 0).all()
    assert (workspace.store / "figures/seed_consistency.png").is_file()
    assert xr.open_zarr(workspace.store / "evaluation/seed_consistency.zarr")["image"].shape == (2, 2, 3, 8, 8)
    spec = json.loads((workspace.store / "checkpoints/full/1/waypoint.json").read_text())["spec"]
    assert spec["item"] == {"checkpoint": {"path": "1", "reference": None}}
    assert spec["import_checkpoint"]["checkpoint"] == {"sampler": "ddpm"}


@pytest.mark.parametrize(
    "second, asked, words",
    [
        ({"sample_size": 8}, "tables/seed_consistency.csv", "full/1 makes (4, 8, 8), full/0 makes (4, 4, 4)"),
        (
            {"cross_attention_dim": 24},
            "checkpoints/full/1",
            "(cross_attention_dim 24), but text_encoder embeds them in 16",
        ),
    ],
)
def test_models_that_cannot_share_noise_or_captions_are_refused(tmp_path, second, asked, words):
    workspace = Workspace(tmp_path / "work", SEEDS, warm=True)
    stable_diffusion(tmp_path / "work/0")
    stable_diffusion(tmp_path / "work/1", **second)
    done = workspace.snakemake(f"store/tiny/{asked}")
    assert done.returncode != 0 and words in done.stdout + done.stderr


def test_the_papers_numbers():
    config = yaml.safe_load((REPOSITORY / "experiments/stable-diffusion.yaml").read_text())
    assert config["sampling"]["steps"] == 300 and config["evaluation"]["samples"]["number"] == 60
    assert config["targets"][0]["prompt"] == "A woman sitting on a unique chair beside a vase."
