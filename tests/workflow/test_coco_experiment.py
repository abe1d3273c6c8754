"""The MS COCO experiment that ships: its model, its targets, its plan, and the whole of it at a small size (slow)."""

import json
import re
import time

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
import yaml
from diffusers import AutoencoderKL
from PIL import Image
from support import random_inception, tiny_clip
from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModel
from workspace import REPOSITORY, Workspace

from waypoint.store.networks import checkpoints
from waypoint.workflow.config.complete import complete

COCO = yaml.safe_load((REPOSITORY / "experiments/coco.yaml").read_text())
METHODS = {"trak", "clip", "pixel", "random"}
IMAGES = 12


def pictures(root):
    """IMAGES smooth pictures, 128 pixels or more on a side, each with five captions, in the official format."""
    folder, colours = root / "train2017", np.random.default_rng(0).integers(0, 255, (IMAGES, 3, 3, 3), np.uint8)
    folder.mkdir()
    entries, captions = [], []
    for i, grid in enumerate(colours, start=40):
        file, wide = f"{i:012}.jpg", 128 + 16 * (i % 3)
        Image.fromarray(grid).resize((wide, 128), Image.Resampling.BICUBIC).save(folder / file)
        entries.append({"id": i, "file_name": file, "width": wide, "height": 128})
        captions += [
            {"id": 5 * i + k, "image_id": i, "caption": f"Picture {i} seen for the {k}th time."} for k in range(5)
        ]
    (root / "captions.json").write_text(json.dumps({"images": entries, "annotations": captions}))
    return {"path": str(folder), "captions": str(root / "captions.json")}


def stable_diffusion(root):
    """A pipeline folder with those parts of Stable Diffusion 2 that are used, tiny and random."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_clip(root / "words"))
    tokenizer.model_max_length = 77
    tokenizer.save_pretrained(root / "tokenizer")
    text = {"vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513, "max_position_embeddings": 77}
    small = {"hidden_size": 1024, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 16}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        CLIPTextModel(CLIPTextConfig(**text, **small)).save_pretrained(root / "text_encoder")
        AutoencoderKL(
            block_out_channels=[4] * 4,
            down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4,
            norm_num_groups=2,
            latent_channels=4,
            sample_size=128,
        ).save_pretrained(root / "vae")
    return str(root)


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """The sections of coco.yaml that name files, with tiny ones in place of data and weights."""
    root = tmp_path_factory.mktemp("coco")
    pipeline = stable_diffusion(root / "stable-diffusion-2")
    return {
        "data": COCO["data"] | pictures(root),
        "vae": COCO["vae"] | {"path": pipeline},
        "text_encoder": COCO["text_encoder"] | {"path": pipeline},
        "image_encoders": {"clip": COCO["image_encoders"]["clip"] | {"path": tiny_clip(root / "clip")}},
        "targets": str(REPOSITORY / COCO["targets"]),
    }


def test_coco_has_the_reference_codes_model():
    theta = checkpoints.build(COCO["model"], 0, "full/0")
    assert sum(q.numel() for q in theta.unet.parameters()) == 57_373_316
    attention = [q.numel() for name, q in theta.unet.named_parameters() if re.search("attn2.to_[kv]", name)]
    assert round(sum(attention) / 1e6, 2) == 7.08
    assert theta.shape == (4, 16, 16) and theta.unet.config.cross_attention_dim == 1024
    # what the reference code leaves to the class's defaults
    assert theta.unet.config.flip_sin_to_cos and theta.unet.config.freq_shift == 0
    assert theta.unet.config.norm_eps == 1e-5 and theta.unet.config.downsample_padding == 1
    assert not theta.scheduler.config.clip_sample and theta.scheduler.betas[-1] == pytest.approx(0.02)


def test_coco_targets_are_a_hundred_prompts(stand_ins):
    targets = complete(COCO | stand_ins)["targets"]
    for key in ("id", "seed", "prompt"):
        assert len({target[key] for target in targets}) == 100
    assert all(5 <= len(target["prompt"].split()) <= 15 for target in targets)


def test_coco_plans_the_papers_experiment(stand_ins, tmp_path):
    start = time.monotonic()
    done = Workspace(tmp_path / "work", COCO | stand_ins).snakemake("--dry-run", "--quiet", "rules")
    seconds = time.monotonic() - start
    counts = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.M))
    targets, removals = 100, 3
    once = "prepare_data import_vae import_text_encoder encode_data embed_images draw_subsets list_subset_models all"
    once += " near_duplicates"
    once += " lds_tables counterfactual_table one_step_error split_half top_influences seed_consistency"
    once += " compare_removals step_correlation sign_overlap top_overlap"
    plots = "lds lds_cross lds_panels counterfactual one_step_error seed_consistency split_half step_correlation"
    plots += " sign_overlap sign_flips top_overlap"
    expected = dict.fromkeys([*once.split(), *(f"plot_{name}" for name in plots.split())], 1)
    expected |= dict.fromkeys(("train", "contact_sheet", "featurize", "factor_kernel"), 20)
    expected |= dict.fromkeys(("sample_trajectory", "target_gradients", "subset_outputs"), targets)
    expected |= dict.fromkeys(("score_trak", "score_pixel", "score_random", "score_encoder"), targets)
    expected |= {"trajectory_panel": len(METHODS) * targets}
    # a job trains the 5 models of a subset; without the top images of trak, clip and pixel, for 50 targets
    expected |= {"train_subset": 100, "train_without": 3 * removals * 50, "train_without_random": 3 * removals}
    expected |= {"counterfactual_original": 50, "counterfactual_without": len(METHODS) * 50, "sample_from_x_t": 100}
    expected["total"] = sum(expected.values())
    assert {rule: int(n) for rule, n in counts.items()} == expected
    jobs = f"{expected['total'] - 1:,}"  # all but the rule `all`, which makes nothing
    assert f"| in all | {jobs} |" in (REPOSITORY / "docs/scaling.md").read_text()
    assert seconds < 90  # 6 on one core


@pytest.mark.slow
def test_coco_runs_to_its_last_table_with_the_full_unet(stand_ins, tmp_path):
    """12 images, 3 checkpoints of 57.4 M parameters, 1 epoch, 5 sampling steps; all other networks are random."""
    config = json.loads(json.dumps(COCO | stand_ins))
    config["training"] |= {"epochs": 1, "batch_size": 6}
    config["checkpoints"] = {"count": 3}
    config["sampling"]["steps"] = 5
    config["attribution"] |= {"steps": [200, 600], "train_draws": 2, "target_draws": 2}
    config["projection"]["dim"] = 8  # fewer than images: no damping, as in the paper
    prompts = ["a red kite", "two brown dogs"]
    config["targets"] = [{"id": f"image-00{k}", "seed": k, "prompt": prompt} for k, prompt in enumerate(prompts)]
    weights = tmp_path / "random.pth"
    sizes = {
        "lds": {"subsets": 2, "models_per_subset": 2, "draws": 2, "checkpoints": [1, 2]},
        "fid": {"weights": str(weights), "sha256": random_inception(weights), "dims": 64},
        "counterfactual": {"targets": 1, "step": 200, "n_remove": [2], "images": 65},
        "samples": {"targets": 1, "number": 2},
        "sign_overlap": {"top_k": [2, 4]},
        "top_overlap": {"top_k": [2]},
    }
    for section, changes in sizes.items():
        config["evaluation"][section] |= changes
    workspace = Workspace(tmp_path / "work", config)
    done = workspace.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    data = xr.open_zarr(workspace.store / "data/train.zarr")
    assert data["latent"].shape == (IMAGES, 4, 16, 16) and data["text_embedding"].shape == (IMAGES, 77, 1024)
    trajectory = xr.open_zarr(workspace.store / "targets/image-000/trajectory.zarr")
    assert trajectory["x_t"].shape == (5, 4, 16, 16) and trajectory["image"].shape == (3, 128, 128)
    for method in METHODS:
        score = xr.open_zarr(workspace.store / f"scores/{method}/image-001.zarr")["score"]
        assert score.shape == (2, IMAGES) and np.isfinite(score).all() and float(score.std()) > 0
    tables = {file.stem: pd.read_csv(file) for file in (workspace.store / "tables").glob("*.csv")}
    names = "lds lds_summary lds_cross lds_overall lds_comparison counterfactual_fid seed_consistency"
    names += " one_step_error step_correlation sign_overlap top_overlap split_half top_influences"
    assert set(tables) == set(names.split()) and all(len(table) for table in tables.values())
    fid = tables["counterfactual_fid"]
    assert set(fid["method"]) == METHODS and np.isfinite(fid["fid_increase"]).all()
    assert (workspace.store / "figures/image-000/clip.png").is_file()
