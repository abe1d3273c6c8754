"""Adapters through Snakemake: trained on a base and retrained; and the same ones given in other styles of names."""

import copy
import json
import shutil

import pandas as pd
import pytest
import xarray as xr
from diffusers import UNet2DModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support import UNET, tiny_denoiser
from workspace import CONFIG, Workspace

from waypoint.store.artifacts.fingerprint import content_hash
from waypoint.store.networks import checkpoints
from waypoint.store.networks.adapter_files import FILE

ATTENTIVE = {**UNET, "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "attention_head_dim": 4}
ATTENTIVE["up_block_types"] = ["AttnUpBlock2D", "UpBlock2D"]
TRAINED = {
    **{key: value for key, value in CONFIG.items() if key != "model"},
    "adapter": {"rank": 2, "alpha": 3},
    "checkpoints": {"base": "../base", "count": 2},
    "training": {"epochs": 2, "batch_size": 20, "learning_rate": 1e-2, "ema": 0.9},
    "projection": {"kind": "none"},
    "methods": ["trak", "pixel"],
    "evaluation": {"lds": {"subsets": 2, "models_per_subset": 1, "draws": 3}},
}
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with a base in it, and the hash of all its files."""
    folder = tmp_path_factory.mktemp("adapters")
    denoiser = tiny_denoiser({"unet": ATTENTIVE, "scheduler": {"num_train_timesteps": 1000}})
    checkpoints.save(denoiser.unet, denoiser.scheduler, folder / "base")
    return folder, content_hash([folder / "base"])


def ran(workspace, *arguments):
    done = workspace.snakemake(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def trained(base):
    workspace = Workspace(base[0] / "work", copy.deepcopy(TRAINED), warm=True)
    workspace.said = ran(workspace)
    return workspace


def scores(workspace, method="trak", target="a"):
    return xr.open_zarr(workspace.store / f"scores/{method}/{target}.zarr")["score"].load()


def test_every_model_is_an_adapter_and_the_base_is_stored_once(base, trained):
    folders = sorted(path.parent for path in (trained.store / "checkpoints").glob("*/*/waypoint.json"))
    names = [str(path.relative_to(trained.store / "checkpoints")) for path in folders]
    assert names == ["base/0", "full/0", "full/1", "subset/0-0", "subset/1-0"]
    for folder in folders[1:]:
        assert [path.name for path in folder.glob("**/*.safetensors")] == [FILE]
    assert len(list((trained.store / "checkpoints").glob("**/diffusion_pytorch_model.safetensors"))) == 1


def test_the_base_is_not_changed(base, trained):
    assert content_hash([base[0] / "base"]) == base[1]
    mine = load_file(trained.store / "checkpoints/base/0/unet/diffusion_pytorch_model.safetensors")
    before = load_file(base[0] / "base/unet/diffusion_pytorch_model.safetensors")
    assert mine.keys() == before.keys() and all(mine[name].equal(before[name]) for name in mine)


def test_features_are_of_the_adapter_alone_and_scores_are_made(trained):
    layers = dict(UNet2DModel(**ATTENTIVE).named_modules())
    taken = [layer for name, layer in layers.items() if name.endswith(tuple(f".{target}" for target in TARGETS))]
    p = sum(2 * (layer.in_features + layer.out_features) for layer in taken)
    for m in (0, 1):
        assert xr.open_zarr(trained.store / f"features/plain/full/{m}.zarr")["phi"].shape == (40, p)
    assert scores(trained).shape == (2, 40) and float(scores(trained).std()) > 0
    assert len(pd.read_csv(trained.store / "tables/lds.csv")) > 0


def test_the_control_compares_every_adapter_with_its_base(trained):
    table = pd.read_csv(trained.store / "tables/adapter_effect.csv")
    assert set(zip(table.checkpoint, table.step)) == {(f"full/{m}", t) for m in (0, 1) for t in (100, 500)}
    assert (table.with_adapter != table.without).all() and (table.se > 0).all()
    seen = table.groupby("checkpoint").standard_errors.max() >= 10
    assert ("adapter full" in trained.said or "adapters, full" in trained.said) == (not seen.all())


def test_nothing_runs_again_and_a_lost_base_alone_is_made_again(trained):
    assert trained.planned() == []
    shutil.rmtree(trained.store / "checkpoints/base/0")
    assert trained.planned() == ["import_base"]
    ran(trained)
    assert trained.planned() == []


def test_another_base_makes_everything_stale_and_is_refused_without_leave(base, trained):
    other = tiny_denoiser({"unet": ATTENTIVE, "scheduler": {"num_train_timesteps": 1000}}, "another")
    checkpoints.save(other.unet, other.scheduler, base[0] / "other")
    changed = trained.changed(checkpoints={"base": "../other", "count": 2})
    done = changed.snakemake()
    assert done.returncode != 0 and "would replace" in done.stdout + done.stderr
    assert "5 models" in done.stdout + done.stderr
    assert "checkpoints.base was '../base' and is now '../other'" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def given(base, trained):
    """The trained adapters as others would have left them: kohya's names with alpha, and diffusers' without."""
    folder = base[0] / "adapters"
    (folder / "checkpoint-20").mkdir(parents=True)
    first, second = (load_file(trained.store / f"checkpoints/full/{m}/{FILE}") for m in (0, 1))
    kohya = {}
    for name, tensor in first.items():
        layer, side = name.removeprefix("unet.").removesuffix(".weight").rsplit(".", 1)
        called = "lora_unet_" + layer.replace(".", "_")
        kohya[f"{called}.{ {'lora_A': 'lora_down', 'lora_B': 'lora_up'}[side] }.weight"] = tensor
    save_file(kohya, folder / "checkpoint-9.safetensors")
    sides = {"lora_A": "lora.down", "lora_B": "lora.up"}
    renamed = {}
    for name, tensor in second.items():
        for before, after in sides.items():
            name = name.replace(before, after)
        renamed[name] = tensor
    save_file(renamed, folder / "checkpoint-20" / FILE)
    config = {key: value for key, value in TRAINED.items() if key not in ("training", "evaluation")}
    config |= {"experiment": "given", "adapter": {"alpha": 3}}
    config["checkpoints"] = {"base": "../base", "adapters": ["../adapters/checkpoint-*"]}
    workspace = Workspace(base[0] / "work", config, warm=True)
    workspace.said = ran(workspace)
    return workspace


def test_given_adapters_in_other_styles_have_the_same_scores(trained, given):
    for target in ("a", "b"):
        xr.testing.assert_equal(scores(given, target=target), scores(trained, target=target))


def test_given_adapters_are_stored_in_one_style_and_say_where_they_come_from(given):
    for m, name in ((0, "checkpoint-9.safetensors"), (1, "checkpoint-20")):
        folder = given.store / f"checkpoints/full/{m}"
        assert json.loads((folder / "waypoint.json").read_text())["imported_from"] == f"../adapters/{name}"
        with safe_open(folder / FILE, "pt") as file:
            assert all(".lora_A." in key or ".lora_B." in key for key in file.keys())
            assert json.loads(file.metadata()["lora_adapter_metadata"])["unet.lora_alpha"] == 3


def test_a_given_adapter_that_is_changed_is_noticed(base, given):
    file = base[0] / "adapters/checkpoint-9.safetensors"
    save_file({name: 2 * tensor for name, tensor in load_file(file).items()}, file)
    done = given.snakemake("-n")
    assert "checkpoint-9.safetensors" in done.stdout + done.stderr and "would replace" in done.stdout + done.stderr
