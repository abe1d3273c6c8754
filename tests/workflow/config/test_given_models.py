"""Existing models at planning: what each path means, and every refusal before the first job."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler
from pipelines import stable_diffusion
from safetensors.torch import load_file, save_file
from support import tiny_config, tiny_denoiser

from waypoint.errors import WaypointError
from waypoint.store.networks.hub import fetch
from waypoint.workflow.config.complete import complete
from waypoint.workflow.config.given_models import stored_config
from waypoint.workflow.plan import networks
from waypoint.workflow.plan.plan import Plan

V = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def saved(tiny_model):
    """A function that writes a pipeline's folder."""

    def write(folder, scheduler=None, **unet):
        denoiser = tiny_denoiser(tiny_model, folder, **unet)
        DDPMPipeline(denoiser.unet, scheduler or denoiser.scheduler).save_pretrained(folder)
        return str(folder)

    return write


def edited(file, drop=(), **keys):
    found = {**json.loads(Path(file).read_text()), **keys}
    Path(file).write_text(json.dumps({key: value for key, value in found.items() if key not in drop}))


def planned(paths, model=None, **sections):
    """The words of planning on existing models, with training images."""
    given = sections.pop("checkpoints", {})
    plan = Plan(tiny_config(model, checkpoints={"paths": paths, **given}, **sections))
    jobs = [plan.model(checkpoint) for checkpoint in plan.checkpoints]
    return networks.answer(**json.loads(json.dumps(networks.question(plan, jobs, None))))


def sampled(paths, **sections):
    """The same without training images."""
    given = {"sampler": "ddpm", **sections.pop("checkpoints", {})}
    path = paths[0]
    config = {"experiment": "x", "checkpoints": {"paths": paths, **given}, "vae": {"path": path}}
    config |= {"text_encoder": {"path": path}, "targets": [{"id": "a", "seed": 1, "prompt": "a dog"}], **sections}
    plan = Plan(complete({key: value for key, value in config.items() if value is not None}))
    jobs = [plan.model(checkpoint) for checkpoint in plan.checkpoints]
    return networks.answer(**json.loads(json.dumps(networks.question(plan, jobs, None)))), plan


def refused(words, *arguments, **sections):
    with pytest.raises(WaypointError, match=words) as caught:
        planned(*arguments, **sections)
    return str(caught.value)


# ---- paths


def test_patterns_stand_for_models_in_the_order_of_their_numbers(saved):
    for step in (500, 1000, 90):
        saved(f"run/checkpoint-{step}")
    Path("run/README.md").write_text("")
    plan = Plan(tiny_config(None, checkpoints={"paths": ["run/*"]}))
    paths = plan.config["checkpoints"]["paths"]
    assert paths == [f"run/checkpoint-{step}" for step in (90, 500, 1000)]
    assert plan.checkpoints == ["full/0", "full/1", "full/2"]
    assert plan.spec("import_checkpoint", checkpoint="full/2")["item"]["checkpoint"]["path"] == paths[2]
    assert planned(["run/*"]) == []


def test_patterns_that_match_nothing_and_models_twice_are_refused(saved):
    saved("run/a")
    Path("run/b.txt").write_text("")
    refused(r"checkpoints.paths\[0\]: runs/\* matches nothing$", ["runs/*"])
    refused(r"run/\*.txt matches nothing but run/b.txt, which is not a model", ["run/*.txt"])
    refused("run/a is listed twice", ["run/a", "run/*"])


def test_a_tilde_is_the_home_folder(saved, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    saved("mine/a")
    assert planned(["~/mine/*"]) == []


def test_a_root_of_the_hubs_cache_is_resolved(saved, tmp_path):
    root = Path("cache/models--a--b")
    first, second = (saved(f"{root}/snapshots/{revision}") for revision in ("0" * 8, "1" * 8))
    (root / "refs").mkdir()
    (root / "refs/main").write_text("1" * 8 + "\n")
    assert planned([str(root)]) == [] and fetch(str(root)) == second
    (root / "refs/main").write_text("gone")
    refused(f"whose refs/main names none of its 2 revisions; name one: {first}", [str(root)])


def test_a_path_that_exists_is_never_looked_up_and_a_typo_is_told(saved, monkeypatch):
    saved("models/right")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused("models/rihgt: no such folder; as a hub id: .*HF_HUB_OFFLINE", ["models/rihgt"])
    Path("models/empty").mkdir()
    refused(r"checkpoints.paths\[0\]: models/empty: .*it is not a folder of a diffusion model", ["models/empty"])
    torch.save({"a": torch.zeros(1)}, "models/a.pt")
    refused("models/a.pt: is a state dict", ["models/a.pt"])


# ---- choices


def test_weights_are_chosen_and_said(saved, tiny_model, capsys, monkeypatch):
    saved("run/checkpoint-5")
    tiny_denoiser(tiny_model, "ema").unet.save_pretrained("run/checkpoint-5/unet_ema")
    refused("run/checkpoint-5: holds unet .*checkpoints.weights: ema or raw", ["run/checkpoint-5"])
    (said,) = planned(["run/checkpoint-5"], checkpoints={"weights": "ema"})
    assert said == "checkpoint run/checkpoint-5: its network is unet_ema, their exponential average"
    plan = Plan(tiny_config(None, checkpoints={"paths": ["run/checkpoint-5"], "weights": "ema"}))
    assert plan.spec("import_checkpoint", checkpoint="full/0")["import_checkpoint"]["checkpoint"] == {"weights": "ema"}
    networks.require_fit(plan, [plan.model("full/0")], None)
    assert capsys.readouterr().err == f"Waypoint: {said}\n"
    with pytest.raises(WaypointError, match="checkpoints.weights is for existing models"):
        tiny_config(tiny_model, checkpoints={"count": 2, "weights": "ema"})


def test_unset_keys_enter_no_spec(saved):
    plan = Plan(tiny_config(None, checkpoints={"paths": [saved("a")]}))
    assert plan.spec("import_checkpoint", checkpoint="full/0")["import_checkpoint"]["checkpoint"] == {}
    assert plan.sampling() == {"steps": 20}


def test_state_dicts_take_the_network_of_the_configuration(tiny_model):
    Path("run").mkdir()
    for step in (5, 10):
        unet = tiny_denoiser(tiny_model, str(step)).unet
        torch.save({"unet": unet.state_dict(), "unet_ema": unet.state_dict()}, f"run/steps_{step}.pt")
    said = planned(["run/*.pt"], tiny_model, checkpoints={"weights": "raw"})
    assert "checkpoint run/steps_10.pt: its weights are unet, the trained weights" in said
    refused("run/steps_5.pt holds unet, unet_ema; say which is meant", ["run/*.pt"], tiny_model)
    refused("run/steps_5.pt: is a state dict, which does not say", ["run/*.pt"])
    refused(r"name the file itself \(checkpoints.paths: \[run/\*.pt\]\)", ["run"], tiny_model)


# ---- schedules


@pytest.mark.parametrize(
    "change, drop, words",
    [
        ({"predict_epsilon": False}, ["prediction_type"], "predict_epsilon false, an old name of prediction_type 'sam"),
        ({"rescale_betas_zero_snr": True}, [], "its last step has no signal .*ᾱ_T = 0"),
        ({"trained_betas": [0.1] * 999 + [1.0]}, [], "its last step has no signal"),
        ({"variance_type": "fixed_large_log"}, [], "variance_type 'fixed_large_log' is not supported: .*fixed_large"),
    ],
)
def test_schedules_that_are_not_computed_are_refused_first(saved, change, drop, words):
    edited(f"{saved('a')}/scheduler/scheduler_config.json", drop, **change)
    said = refused(words, ["a"], sampling={"steps": 7})  # not for a grid that the schedule will never have
    assert said.startswith("config: checkpoints.paths[0]: a: scheduler")


def test_schedules_of_the_configuration_are_refused_alike(tiny_model):
    for change in ({"rescale_betas_zero_snr": True}, {"variance_type": "fixed_large_log"}):
        model = {**tiny_model, "scheduler": {**tiny_model["scheduler"], **change}}
        with pytest.raises(WaypointError, match="config: model.scheduler"):
            tiny_config(model)


def test_a_step_without_gradient_has_no_ranking(tiny_model, saved):
    model = {**tiny_model, "scheduler": V}
    for sections, owner in (
        ({"attribution": {"steps": [999, 499]}}, "attribution.steps"),
        ({"targets": [{"id": "b", "seed": 1, "steps": [999]}], "attribution": {"steps": [499]}}, r"targets \(b\)"),
    ):
        with pytest.raises(WaypointError, match=rf"config: {owner}: step 999 has no ranking: .*Leave the step out"):
            tiny_config(model, **sections)
        with pytest.raises(WaypointError, match=owner):
            tiny_config(None, checkpoints={"paths": [saved("v", DDPMScheduler(**V))]}, **sections)
    tiny_config(model, attribution={"steps": [949, 499]})
    tiny_config({**tiny_model, "scheduler": {**V, "rescale_betas_zero_snr": False}}, attribution={"steps": [999]})
    tiny_config(model, attribution={"steps": [999]}, methods={"pixel": {}})  # no method takes gradients


# ---- networks


@pytest.mark.parametrize(
    "unet, words",
    [
        ({"in_channels": 9, "out_channels": 4}, "9 channels and gives 4: a model for inpainting"),
        ({"in_channels": 7, "out_channels": 4}, "7 channels and gives 4: a model for an upscaler"),
        ({"in_channels": 3, "out_channels": 6}, "takes 3 channels and gives 6"),
        ({"addition_embed_type": "image"}, r"addition_embed_type 'image' is not supported; captions are"),
        ({"quantization_config": {"bits": 8}}, "its weights are quantised"),
    ],
)
def test_networks_of_other_kinds_are_refused_by_name(unet, words):
    stable_diffusion("a")
    edited("a/unet/config.json", **unet)
    with pytest.raises(WaypointError, match=rf"config: checkpoints.paths\[0\]: a: .*{words}"):
        sampled(["a"])


def test_weights_of_other_kinds_are_refused_by_their_heads(saved):
    file = f"{saved('a')}/unet/diffusion_pytorch_model.safetensors"
    state = load_file(file)
    name = next(iter(state))
    save_file({f"{name}.lora_A.weight": torch.zeros(1)}, file)
    with pytest.raises(WaypointError, match=r"^config: checkpoints.paths\[0\]: a: LoRA weights alone"):
        tiny_config(None, checkpoints={"paths": ["a"]})
    Path(file).write_text("<html>")
    with pytest.raises(WaypointError, match="is a web page, not weights"):
        tiny_config(None, checkpoints={"paths": ["a"]})


@pytest.mark.parametrize("part", ["vae", "vqvae"])
def test_an_autoencoder_that_the_pipeline_names_is_asked_for(saved, part):
    edited(f"{saved('a')}/model_index.json", **{part: ["diffusers", "AutoencoderKL"]})
    words = rf"its model_index.json names an autoencoder \({part}\), .* give the section vae"
    refused(words, ["a"])
    refused(words, ["a/unet"])
    edited("a/model_index.json", **{part: [None, None]})
    assert planned(["a"]) == []


# ---- sizes


def test_sampling_size_says_at_which_size_a_model_works(tiny_model):
    stable_diffusion("a")
    edited("a/unet/config.json", _diffusers_version="0.6.0")
    assert stored_config("a", "unet")["sample_size"] == 64
    (said,), _ = sampled(["a"])
    assert "it works at 64, not at 4" in said
    (said,), plan = sampled(["a"], sampling={"size": 16})
    assert said.endswith("it works at 8, not at 4 (unet's sample_size): as sampling.size says")
    assert plan.spec("import_checkpoint", checkpoint="full/0")["import_checkpoint"]["checkpoint"]["size"] == 16
    with pytest.raises(WaypointError, match="sampling.size: 15 is not a multiple of 2, the side of a latent cell"):
        sampled(["a"], sampling={"size": 15})
    with pytest.raises(WaypointError, match="sampling.size is for existing models"):
        tiny_config(tiny_model, sampling={"steps": 20, "size": 8})


def test_sampling_size_and_the_datas_are_one(saved):
    data = {"source": "digits", "subset": 30, "size": 8}
    assert "it works at 8, not at 16" in planned([saved("a", sample_size=16)], data=data, sampling={"size": 8})[0]
    refused("sampling.size: 16 is not data.size 8", ["a"], data=data, sampling={"size": 16})


def test_latents_are_taken_whatever_scheduler_lies_beside_them():
    stable_diffusion("a")
    DDIMScheduler(steps_offset=1).save_pretrained("a/scheduler")
    (said,), _ = sampled(["a"])
    assert "clip_sample of its scheduler is turned off" in said
    np.testing.assert_equal(stored_config("a", "scheduler")["clip_sample"], True)
