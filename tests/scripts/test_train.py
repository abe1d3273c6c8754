"""The inputs that train.py trains on: latents and embedded captions where the data has them, else images and labels."""

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from support import UNET, run_script, store

from waypoint.science.evaluation.subsets import subset_rows
from waypoint.science.processes.ddpm import Denoiser
from waypoint.science.training import DenoiserTrainer
from waypoint.store.networks import checkpoints

N = 12
RECIPE = {"epochs": 2, "batch_size": 5, "learning_rate": 1e-3, "weight_decay": 0.0, "ema": None, "gradient_clip": None}
RECIPE["flip"] = False
SHAPES = {"image": (N, 3, 16, 16), "latent": (N, 1, 8, 8), "text_embedding": (N, 3, 4), "null_embedding": (3, 4)}
DIMS = {"image": ["train", "channel", "y", "x"], "latent": ["train", "latent_channel", "latent_y", "latent_x"]}
DIMS |= {"text_embedding": ["train", "token", "width"], "null_embedding": ["token", "width"]}


def array(name):
    return np.random.default_rng(sorted(SHAPES).index(name)).standard_normal(SHAPES[name]).astype(np.float32)


@pytest.fixture
def data(tmp_path):
    arrays = {name: (DIMS[name], array(name)) for name in SHAPES}
    return store(tmp_path / "train.zarr", {"sha256": "fixed"}, label=(["train"], np.arange(N) % 3), **arrays)


def text_model(seed=0):
    """A text-conditional denoiser of latents (1, 8, 8) and captions of width 4."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            block_out_channels=(4, 8),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=4,
            attention_head_dim=2,
        )
    return Denoiser(unet.train(), DDPMScheduler(clip_sample=False))


def trained(tmp_path, data, unet, **changes):
    """The weights that train.py writes."""
    spec = {
        "seed": 0,
        "model": {"unet": unet, "scheduler": {"clip_sample": False}},
        "training": {**RECIPE, **changes.pop("recipe", {})},
    }
    out = tmp_path / "model"
    run_script("train", spec=spec | changes, data=data, name=["full/0"], resume=tmp_path / "resume", out=[out])
    return load_file(out / "unet/diffusion_pytorch_model.safetensors")


def directly(denoiser, conditions, null=None, rows=slice(None), **changes):
    images = torch.from_numpy(array("latent")[rows])
    trainer = DenoiserTrainer(denoiser, images, conditions, {**RECIPE, **changes}, 0, "full/0", null)
    while not trainer.finished:
        trainer.run_epoch()
    return trainer.final_weights().state_dict()


def same(found, expected):
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize("classes", [None, 3])
def test_latents_are_trained_on_where_there_are_any(tmp_path, data, classes):
    unet = {**UNET, "num_class_embeds": classes}
    denoiser = checkpoints.build({"unet": unet, "scheduler": {}}, 0, "full/0")
    denoiser.unet.train()
    labels = torch.arange(N) % 3 if classes else None
    assert same(trained(tmp_path, data, unet), directly(denoiser, labels))


@pytest.mark.parametrize("share", [0, 0.4])
@pytest.mark.parametrize("images", [None, {"subset": 1, "fraction": 0.5}])
def test_a_text_conditional_model_is_trained_on_its_images_captions(tmp_path, data, monkeypatch, share, images):
    monkeypatch.setattr(checkpoints, "build", lambda model, seed, name: text_model())
    dropout = {"caption_dropout": share} if share else {}
    found = trained(tmp_path, data, {}, recipe=dropout, **({"images": images} if images else {}))
    rows = np.arange(N) if images is None else subset_rows(0, 1, N, 0.5)
    captions, null = torch.from_numpy(array("text_embedding")[rows]), torch.from_numpy(array("null_embedding"))
    assert same(found, directly(text_model(), captions, null, rows, **dropout))
    assert not same(found, directly(text_model(), captions.flip(0), null, rows, **dropout))
