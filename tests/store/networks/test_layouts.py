"""Models as training scripts and downloads leave them: each gives what diffusers' own loading gives, or is refused."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    PNDMScheduler,
    UNet2DConditionModel,
    UNet2DModel,
)
from diffusers.training_utils import EMAModel
from pipelines import UNET as TEXT_UNET
from pipelines import VAE, WIDTH, stable_diffusion
from safetensors.torch import load_file, save_file
from support import UNET, images, tiny_denoiser

from waypoint.errors import WaypointError
from waypoint.store.networks import checkpoints, given
from waypoint.store.networks.layouts import examine, taken_from
from waypoint.store.networks.vae import load_vae

FILE = "diffusion_pytorch_model"
ATTENTION = {
    **UNET,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "attention_head_dim": 4,
}


def network(seed=0, kind=UNet2DModel, config=ATTENTION):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(**config).eval()


def pipeline(folder, unet=None, scheduler=None):
    unet = unet or network()
    unet.save_pretrained(folder / "unet")
    (scheduler or DDPMScheduler()).save_pretrained(folder / "scheduler")
    return unet


def replace(folder, change, suffix="safetensors", stem=FILE):
    """Store the weights of a folder's network as ``change`` of them, in another kind of file."""
    state = change(load_file(folder / f"{stem}.safetensors"))
    (folder / f"{stem}.safetensors").unlink()
    if suffix.endswith("safetensors"):
        save_file(state, folder / f"{stem}.{suffix}", metadata={"format": "pt"})
    else:
        torch.save(state, folder / f"{stem}.{suffix}")


def edited(file, **keys):
    file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))


def same(path, theirs, **taking):
    """Whether a model gives what diffusers' network gives, and its outline fits; what is said about it."""
    denoiser, said = checkpoints.take(str(path), **taking)
    assert checkpoints.outlined(str(path), **taking)[1] == said
    x, t = images(3), torch.tensor([0, 500, 999])
    named = {}
    if isinstance(theirs, UNet2DConditionModel):
        x = torch.randn(3, 4, 4, 4)
        named = {"encoder_hidden_states": torch.randn(3, 5, WIDTH)}
    with torch.no_grad():
        mine = denoiser.output(x, t, named.get("encoder_hidden_states"))
        assert torch.equal(mine, theirs(x, t, **named).sample)
    assert not denoiser.unet.training and denoiser.unet.dtype == torch.float32
    return " | ".join(said)


# ---- what training scripts leave behind


def training(folder, steps=500, scheduler="above"):
    """accelerate's checkpoint of train_unconditional.py --use_ema, in the training's output folder."""
    raw, averaged = network(1), network(2)
    raw.save_pretrained(folder / f"checkpoint-{steps}/unet")
    averaged.save_pretrained(folder / f"checkpoint-{steps}/unet_ema")
    more = {"decay": 0.9999, "optimization_step": steps, "use_ema_warmup": True, "torch_dtype": "float32"}
    edited(folder / f"checkpoint-{steps}/unet_ema/config.json", **more)
    torch.save({"state": {}}, folder / f"checkpoint-{steps}/optimizer.bin")
    torch.save({"last_epoch": 5}, folder / f"checkpoint-{steps}/scheduler.bin")
    place = {"above": folder / "scheduler", "inside": folder / f"checkpoint-{steps}/scheduler"}
    if scheduler:
        DDPMScheduler(beta_end=0.03).save_pretrained(place[scheduler])
    return raw, averaged, folder / f"checkpoint-{steps}"


@pytest.mark.parametrize("scheduler", ["above", "inside"])
@pytest.mark.parametrize("index, weights, words", [(0, "raw", "unet, the trained"), (1, "ema", "unet_ema, their ex")])
def test_a_training_scripts_checkpoint_says_which_network_it_is(tmp_path, scheduler, index, weights, words):
    *networks, place = training(tmp_path, scheduler=scheduler)
    said = same(place, networks[index], weights=weights)
    assert words in said and ("its noise schedule is that of" in said) == (scheduler == "above")
    assert checkpoints.load(place, weights=weights).scheduler.config.beta_end == 0.03
    file = str(tmp_path / "scheduler/scheduler_config.json")
    assert taken_from(str(place), weights) == [str(place), file][: 1 + (scheduler == "above")]


@pytest.mark.parametrize("name, index", [("unet", 0), ("unet_ema", 1)])
def test_the_networks_own_folder_needs_no_choice(tmp_path, name, index):
    *networks, place = training(tmp_path)
    assert "its noise schedule is that of" in same(place / name, networks[index])


def test_a_schedule_of_the_configuration_stands_in_for_one_that_is_missing(tmp_path):
    raw, _, place = training(tmp_path, scheduler=None)
    with pytest.raises(WaypointError, match="it has no noise schedule; .* or give the section model"):
        checkpoints.load(place, weights="raw")
    model = {"unet": ATTENTION, "scheduler": {"beta_end": 0.04}}
    assert "its noise schedule is model.scheduler of the configuration" in same(place, raw, weights="raw", model=model)
    assert checkpoints.load(place, weights="raw", model=model).scheduler.config.beta_end == 0.04


@pytest.mark.parametrize(
    "left, weights, words",
    [
        (
            ("unet", "unet_ema"),
            None,
            "holds unet .the trained weights. and unet_ema .*weights: ema or raw",
        ),
        (("unet",), "ema", "checkpoints.weights: ema means its unet_ema, but it holds only unet"),
        (("unet_ema",), "raw", "checkpoints.weights: raw means its unet, but it holds only unet_ema"),
    ],
)
def test_a_network_that_is_not_there_or_not_chosen_is_refused(tmp_path, left, weights, words):
    *_, place = training(tmp_path)
    for name in {"unet", "unet_ema"} - set(left):
        shutil.rmtree(place / name)
    with pytest.raises(WaypointError, match=words):
        checkpoints.load(place, weights=weights)


def test_a_lone_average_is_taken_and_said(tmp_path):
    _, averaged, place = training(tmp_path)
    shutil.rmtree(place / "unet")
    assert "its network is unet_ema, their exponential average" in same(place, averaged)


def test_averages_of_different_lengths_are_one_architecture(tmp_path, tiny_model):
    for name, steps in (("a", 5), ("b", 10)):
        net = network(steps, config=UNET)
        ema = EMAModel(net.parameters(), use_ema_warmup=True, model_cls=UNet2DModel, model_config=net.config)
        for _ in range(steps):
            ema.step(net.parameters())
        ema.save_pretrained(str(tmp_path / name))
        DDPMScheduler().save_pretrained(tmp_path / name)
        same(tmp_path / name, UNet2DModel.from_pretrained(tmp_path / name))
    a, b = (checkpoints.load(tmp_path / name) for name in "ab")
    checkpoints.require_same(a, b, "a", "b")
    checkpoints.require_same(a, checkpoints.outline_of(tiny_model), "a", "config: model")


def test_configurations_of_other_versions_are_the_same_network(tmp_path):
    unet = pipeline(tmp_path / "a")
    pipeline(tmp_path / "b", unet)
    edited(tmp_path / "b/unet/config.json", torch_dtype="float16", sample_size=[8, 8], key_of_tomorrow=None)
    said = same(tmp_path / "b", unet)
    assert "the installed diffusers does not know key_of_tomorrow" in said and "torch_dtype" not in said
    a, b = (checkpoints.load(tmp_path / name) for name in "ab")
    checkpoints.require_same(b, a, "b", "a")
    edited(tmp_path / "b/unet/config.json", sample_size=[8, 16])
    with pytest.raises(WaypointError, match=r"sample_size: \[8, 16\] against 8"):
        checkpoints.require_same(checkpoints.load(tmp_path / "b"), a, "b", "a")


# ---- schedules


def test_the_same_betas_under_other_schedulers_are_one_schedule(tmp_path):
    betas = DDPMScheduler().betas.tolist()
    schedulers = {
        "ddpm": DDPMScheduler(clip_sample=False),
        "ddim": DDIMScheduler(clip_sample=False, set_alpha_to_one=False),
        "pndm": PNDMScheduler(skip_prk_steps=True),
        "dpm": DPMSolverMultistepScheduler(),
        "listed": DDIMScheduler(clip_sample=False, trained_betas=betas, beta_end=0.5),
    }
    taking, said = {"sampler": "ddpm"}, {}
    for name, scheduler in schedulers.items():
        pipeline(tmp_path / name, scheduler=scheduler)
    reference = checkpoints.outline(tmp_path / "ddpm", **taking), "ddpm"
    for name in schedulers:
        theta = checkpoints.load(tmp_path / name, **taking)
        said[name] = given.fit(theta, reference, name, taking)
        assert theta.scheduler.config.timestep_spacing == "leading"
        assert torch.allclose(theta.alphas_cumprod, DDPMScheduler().alphas_cumprod)
    assert {name for name, words in said.items() if words} == {"dpm"}
    assert "its sampling grid is laid as that of ddpm: timestep_spacing 'leading'" in said["dpm"][0]


@pytest.mark.parametrize(
    "other, words",
    [
        (DDIMScheduler(), "clip_sample: True against False"),
        (PNDMScheduler(beta_end=0.03), "beta_end: 0.03 against 0.02"),
        (PNDMScheduler(prediction_type="v_prediction"), "prediction_type: 'v_prediction' against 'epsilon'"),
        (PNDMScheduler(num_train_timesteps=500), "num_train_timesteps: 500 against 1000"),
        (DDPMScheduler(clip_sample=False, variance_type="fixed_large"), "variance_type: 'fixed_large' against"),
    ],
)
def test_what_ancestral_sampling_keeps_makes_schedules_differ(tmp_path, other, words):
    taking = {"sampler": "ddpm"}
    pipeline(tmp_path / "a", scheduler=DDPMScheduler(clip_sample=False))
    pipeline(tmp_path / "b", scheduler=other)
    reference = checkpoints.outline(tmp_path / "a", **taking), "a"
    with pytest.raises(WaypointError, match=words):
        given.fit(checkpoints.load(tmp_path / "b", **taking), reference, "b", taking)


def test_latents_are_not_clipped_by_a_scheduler_that_clips_by_default(tmp_path):
    path = stable_diffusion(tmp_path)
    DDIMScheduler().save_pretrained(tmp_path / "scheduler")
    theirs = UNet2DConditionModel.from_pretrained(tmp_path / "unet")
    assert "clip_sample of its scheduler is turned off" in same(path, theirs, sampler="ddpm", latent=True)
    theta = checkpoints.load(path, sampler="ddpm", latent=True)
    x = 9 * torch.randn(1, 4, 4, 4)
    assert theta.x0_hat(x, 500, torch.zeros_like(x), "scheduler").abs().max() > 2
    assert checkpoints.load(path, sampler="ddpm").scheduler.config.clip_sample  # pixels are


# ---- files of weights


def old_names(state):
    for new, old in {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}.items():
        state = {name.replace(f".{new}.", f".{old}."): tensor for name, tensor in state.items()}
    return state


def prefixed(prefix):
    return lambda state: {prefix + name: tensor for name, tensor in state.items()}


def compiled_parts(state):
    return {name.replace("down_blocks.0.", "down_blocks.0._orig_mod."): tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    "change, suffix, words",
    [
        (dict, "bin", ""),
        (old_names, "bin", ""),
        (old_names, "safetensors", ""),
        (prefixed("_orig_mod."), "safetensors", "hold _orig_mod., which is left out"),
        (prefixed("module."), "bin", "hold module., which is left out"),
        (prefixed("module._orig_mod."), "safetensors", "hold _orig_mod.*hold module."),
        (prefixed("ema_model.unet."), "safetensors", "begin with ema_model.unet., which is left out"),
        (compiled_parts, "safetensors", "hold _orig_mod., which is left out"),
    ],
)
def test_weights_are_taken_from_every_kind_of_file(tmp_path, capfd, change, suffix, words):
    unet = pipeline(tmp_path)
    replace(tmp_path / "unet", change, suffix)
    assert re.search(words, same(tmp_path, unet))
    printed = "".join(capfd.readouterr())
    assert "rror" not in printed and "unsafe" not in printed


@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "bin"])
@pytest.mark.parametrize("variant", [None, "fp16"])
@pytest.mark.parametrize("size", ["1GB", "20KB"], ids=["whole", "shards"])
def test_shards_and_variants_are_taken(tmp_path, capfd, safe, variant, size):
    unet = pipeline(tmp_path)
    (tmp_path / f"unet/{FILE}.safetensors").unlink()
    (unet.half() if variant else unet).save_pretrained(
        tmp_path / "unet", variant=variant, max_shard_size=size, safe_serialization=safe
    )
    theirs = UNet2DModel.from_pretrained(
        tmp_path / "unet", variant=variant, use_safetensors=safe, low_cpu_mem_usage=False
    )
    assert (len(list((tmp_path / "unet").iterdir())) > 2) == (size != "1GB")
    capfd.readouterr()
    said = same(tmp_path, theirs.float().eval())
    assert ("only the fp16 variant" in said) == bool(variant)
    printed = "".join(capfd.readouterr())
    assert "rror" not in printed and "unsafe" not in printed


def test_plain_weights_come_before_a_variant(tmp_path):
    unet = pipeline(tmp_path)
    network(7).half().save_pretrained(tmp_path / "unet", variant="fp16")
    assert same(tmp_path, unet) == ""
    replace(tmp_path / "unet", dict, "bin")
    assert same(tmp_path, unet) == ""
    (tmp_path / f"unet/{FILE}.bin").unlink()
    network(7).half().save_pretrained(tmp_path / "unet", variant="other")
    with pytest.raises(WaypointError, match=r"holds several variants of the weights \(fp16, other\); keep one"):
        checkpoints.load(tmp_path)


def test_an_autoencoder_of_2022_is_taken(tmp_path, capfd):
    from diffusers import AutoencoderKL

    theirs = AutoencoderKL(**VAE).eval()
    theirs.save_pretrained(tmp_path / "vae")
    replace(tmp_path / "vae", old_names, "bin")
    mine = load_vae(tmp_path)
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(mine.vae.encode(x).latent_dist.mean, theirs.encode(x).latent_dist.mean)
    printed = "".join(capfd.readouterr())
    assert "rror" not in printed and "unsafe" not in printed


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda file: file.write_bytes(b""), "is empty"),
        (lambda file: file.write_bytes(b"<!DOCTYPE html><html>not found</html>"), "is a web page, not weights"),
        (lambda file: file.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0"), "git lfs pull"),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "is cut short"),
        (lambda file: file.write_bytes(file.read_bytes()[:40]), "is cut short|cannot be read as tensors"),
    ],
    ids=["empty", "page", "pointer", "cut", "head"],
)
@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_files_that_are_no_weights_are_named(tmp_path, change, suffix, words):
    pipeline(tmp_path)
    replace(tmp_path / "unet", dict, suffix)
    change(tmp_path / f"unet/{FILE}.{suffix}")
    for take in (checkpoints.load, checkpoints.outline):
        with pytest.raises(WaypointError, match=f"{FILE}.{suffix} .*({words})"):
            take(tmp_path)


# ---- state dicts

MODEL = {"unet": ATTENTION, "scheduler": {"beta_end": 0.03}}


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.ckpt", "a.bin", "a.safetensors"])
def test_a_bare_state_dict_fills_the_network_of_the_configuration(tmp_path, name):
    unet = network()
    (save_file if name.endswith("safetensors") else torch.save)(unet.state_dict(), tmp_path / name)
    assert same(tmp_path / name, unet, model=MODEL) == "its noise schedule is model.scheduler of the configuration"
    with pytest.raises(WaypointError, match="is a state dict, which does not say what its network is; .*model.unet"):
        checkpoints.load(tmp_path / name)


@pytest.mark.parametrize("raw, averaged", [("unet", "unet_ema"), ("model", "ema"), ("state_dict", "ema_state_dict")])
def test_of_several_state_dicts_one_is_chosen(tmp_path, raw, averaged):
    one, two = network(1), network(2)
    held = {raw: one.state_dict(), averaged: prefixed("module.")(two.state_dict()), "total_steps": 125000}
    torch.save(held | {"optimizer": {"state": {0: {"step": torch.ones(1)}}}}, tmp_path / "a.pt")
    assert f"its weights are {raw}, the trained weights" in same(tmp_path / "a.pt", one, model=MODEL, weights="raw")
    assert f"are {averaged}, the exponential average" in same(tmp_path / "a.pt", two, model=MODEL, weights="ema")
    with pytest.raises(WaypointError, match=f"holds {raw}, {averaged}; say which .* checkpoints.weights: ema or raw"):
        checkpoints.load(tmp_path / "a.pt", model=MODEL)


def test_networks_side_by_side_in_one_state_dict_are_told_apart(tmp_path):
    one, two = network(1), network(2)
    both = prefixed("net.")(one.state_dict()) | prefixed("net_ema.")(two.state_dict())
    torch.save({"state_dict": both, "epoch": 3}, tmp_path / "a.ckpt")
    assert "its weights are net, the trained weights" in same(tmp_path / "a.ckpt", one, model=MODEL, weights="raw")
    assert "its weights are net_ema, the exp" in same(tmp_path / "a.ckpt", two, model=MODEL, weights="ema")
    with pytest.raises(WaypointError, match="holds net, net_ema; say which is meant"):
        checkpoints.load(tmp_path / "a.ckpt", model=MODEL)


@pytest.mark.parametrize(
    "held, words",
    [
        ({"shadow_params": [torch.zeros(1)], "decay": 0.9}, "averages without their names .* EMAModel.save_pretrained"),
        ({"step": 3}, "holds no state dict, a mapping of names to tensors"),
        ([1, 2], "holds no state dict, a mapping of names to tensors, but list"),
        ({"unet": {"conv_in.weight": torch.zeros(1)}}, "do not fill its config exactly: .*is missing"),
        ({"model.diffusion_model.x": torch.zeros(1)}, "the names of CompVis' code .* from_single_file"),
        ({"x": Path("a")}, r"cannot be read as tensors alone \(it also holds pathlib"),
    ],
)
def test_files_without_a_fitting_state_dict_are_named(tmp_path, held, words):
    torch.save(held, tmp_path / "a.pt")
    for take in (checkpoints.load, checkpoints.outline):
        with pytest.raises(WaypointError, match=words):
            take(tmp_path / "a.pt", model=MODEL)


# ---- other kinds, refused by name


def unfused(state):
    name = next(name for name in state if name.endswith("to_q.weight"))
    stem = name.removesuffix(".weight")
    kept = {key: tensor for key, tensor in state.items() if key != name}
    adapter = {f"{stem}.lora_{part}.default.weight": torch.zeros(2, 8) for part in "AB"}
    return kept | adapter | {f"{stem}.base_layer.weight": state[name]}


@pytest.mark.parametrize(
    "change, words",
    [
        (unfused, r"not fused: \S+to_q.base_layer.weight is unexpected, and \S+to_q.weight is missing"),
        (lambda s: {f"{k}.lora.down.weight": w for k, w in s.items()}, "LoRA weights alone"),
        (lambda s: s | {"conv_in.weight": s["conv_in.weight"].to(torch.int8)}, "quantised .conv_in.weight is I8"),
        (lambda s: s | {"conv_in.weight.absmax": torch.zeros(1)}, "its weights are quantised"),
    ],
    ids=["peft", "lora", "int8", "absmax"],
)
def test_weights_of_other_kinds_are_named(tmp_path, change, words):
    pipeline(tmp_path)
    replace(tmp_path / "unet", change)
    for take in (checkpoints.load, checkpoints.outline):
        with pytest.raises(WaypointError, match=words):
            take(tmp_path)


def test_folders_of_other_kinds_are_named(tmp_path):
    def refused(folder, words):
        with pytest.raises(WaypointError, match=words):
            examine(tmp_path / folder)

    for name in ("run/checkpoint-5", "lora", "peft", "files", "nothing", "dit/transformer", "other"):
        (tmp_path / name).mkdir(parents=True)
    network().save_pretrained(tmp_path / "run/checkpoint-5/unet")
    refused("run", r"holds models in folders of its own \(checkpoint-5\); name one, or all: .*run/checkpoint-\*")
    save_file({"unet.a.lora_A.weight": torch.zeros(1)}, tmp_path / "lora/pytorch_lora_weights.safetensors")
    refused("lora", "holds LoRA weights alone; fuse them into their base model")
    refused("lora/pytorch_lora_weights.safetensors", "holds LoRA weights alone")
    (tmp_path / "peft/adapter_config.json").write_text("{}")
    refused("peft", "holds a PEFT adapter alone")
    torch.save({}, tmp_path / "files/steps_5.pt")
    refused("files", r"holds steps_5.pt without a config.json. .*checkpoints.paths: \[.*\*.pt\]")
    refused("nothing", "it is not a folder of a diffusion model")
    (tmp_path / "dit/transformer/config.json").write_text('{"_class_name": "DiTTransformer2DModel"}')
    refused("dit", "network DiTTransformer2DModel .* is not supported")
    (tmp_path / "other/model_index.json").write_text('{"_class_name": "ShapEPipeline"}')
    refused("other", "it is a ShapEPipeline, but holds no unet")
    (tmp_path / "a.txt").write_text("")
    refused("a.txt", "is a file, but no weights")


# ---- sizes


@pytest.mark.parametrize(
    "version, cells, size",
    [("0.6.0", None, 64), ("0.8.1", None, 64), ("0.9.0", None, 4), ("0.6.0", 8, 8), ("0.31.0", 8, 8)],
)
def test_an_old_configuration_works_at_the_size_of_diffusers_pipeline(tmp_path, version, cells, size):
    path = stable_diffusion(tmp_path)
    edited(tmp_path / "unet/config.json", _diffusers_version=version)
    theta, said = checkpoints.take(path, sampler="ddpm", cells=cells)
    assert theta.shape == (4, size, size)
    assert any(f"it works at {size}, not at 4" in words for words in said) == (size != 4)
    checkpoints.save(theta.unet, theta.scheduler, tmp_path / "stored")
    assert checkpoints.load(tmp_path / "stored").shape == (4, size, size)


def test_pixel_models_of_old_versions_keep_their_size(tmp_path, tiny_model):
    denoiser = tiny_denoiser(tiny_model)
    checkpoints.save(denoiser.unet, denoiser.scheduler, tmp_path)
    edited(tmp_path / "unet/config.json", _diffusers_version="0.1.0")
    assert checkpoints.load(tmp_path).shape == (1, 8, 8)


def test_text_unets_are_compared_too(tmp_path):
    theirs = network(3, UNet2DConditionModel, TEXT_UNET)
    pipeline(tmp_path, theirs)
    replace(tmp_path / "unet", prefixed("_orig_mod."))
    assert "_orig_mod." in same(tmp_path, theirs)
