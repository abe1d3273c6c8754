"""Stored schedules: those of other samplers give diffusers' own betas and clipping, and what is none is refused."""

import inspect
import json

import diffusers
import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    EulerDiscreteScheduler,
    IPNDMScheduler,
    UNet2DConditionModel,
    UNet2DModel,
    UniPCMultistepScheduler,
)
from support import TEXT_UNET, UNET, tiny_config, tiny_denoiser

from waypoint.errors import WaypointError
from waypoint.science.networks.known import require_supported
from waypoint.science.processes.schedules import CLIPPING, UNLIKE, check_schedule, clips
from waypoint.store.networks import checkpoints
from waypoint.workflow.config.complete import complete

BETAS = np.linspace(1e-4, 0.02, 1000).tolist()


def signature(name):
    return inspect.signature(getattr(diffusers, name).__init__).parameters


def schedulers():
    """Names of all schedulers of the installed diffusers that have a schedule of betas."""
    names = [name for name in dir(diffusers) if name.endswith("Scheduler") and "Flax" not in name]
    return [name for name in names if {"beta_start", "beta_end", "beta_schedule"} <= signature(name).keys()]


@pytest.mark.parametrize("name", schedulers())
def test_a_scheduler_without_clip_sample_clips_as_its_class_does_by_default(name):
    default = signature(name).get("clip_sample")
    expected = default is not None and default.default
    if name not in UNLIKE:
        assert clips({"_class_name": name}) == expected
        assert clips({"_class_name": name, "clip_sample": not expected}) != expected


def test_every_clipping_scheduler_is_one_of_diffusers():
    assert CLIPPING | UNLIKE.keys() <= set(dir(diffusers))


@pytest.mark.parametrize("kind", [DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler])
def test_clip_sample_is_taken_as_diffusers_takes_it_where_the_file_lacks_it(tmp_path, tiny_model, kind):
    denoiser = tiny_denoiser(tiny_model)
    checkpoints.save(denoiser.unet, DDPMScheduler(), tmp_path)
    kind().save_pretrained(tmp_path / "scheduler")
    file = tmp_path / "scheduler/scheduler_config.json"
    stored = json.loads(file.read_text())
    stored.pop("clip_sample", None)
    file.write_text(json.dumps(stored))
    theirs = kind.from_pretrained(tmp_path, subfolder="scheduler").config.get("clip_sample", False)
    mine = checkpoints.load(tmp_path, sampler="ddpm").scheduler
    assert mine.config.clip_sample == theirs
    torch.testing.assert_close(mine.alphas_cumprod, kind().alphas_cumprod)


def planned(tmp_path, tiny_model, scheduler, **edits):
    checkpoints.save(tiny_denoiser(tiny_model).unet, DDPMScheduler(), tmp_path)
    scheduler.save_pretrained(tmp_path / "scheduler")
    file = tmp_path / "scheduler/scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **edits}))
    return complete(
        tiny_config(None, checkpoints={"paths": [str(tmp_path)], "sampler": "ddpm", "timestep_spacing": "leading"})
    )


OTHER = {
    "continuous": (
        EulerDiscreteScheduler(timestep_type="continuous", prediction_type="v_prediction"),
        {},
        r"EulerDiscreteScheduler is not supported: its network takes continuous steps \(timestep_type\)",
    ),
    "flow": (UniPCMultistepScheduler(use_flow_sigmas=True), {}, r"trained on a flow \(use_flow_sigmas\)"),
    "shifted": (DDIMScheduler(), {"snr_shift_scale": 3.0}, "shifts the signal .snr_shift_scale 3.0"),
    "CogVideoX": (DDIMScheduler(), {"_class_name": "CogVideoXDDIMScheduler"}, "it shifts the signal"),
    "IPNDM": (IPNDMScheduler(trained_betas=BETAS), {}, "IPNDMScheduler is not supported: its steps are not of betas"),
}


@pytest.mark.parametrize("name", OTHER)
def test_schedulers_of_other_steps_are_refused_at_planning(tmp_path, tiny_model, name):
    scheduler, edits, words = OTHER[name]
    with pytest.raises(WaypointError, match=words):
        planned(tmp_path, tiny_model, scheduler, **edits)


def test_continuous_steps_of_epsilon_are_those_of_betas_as_in_diffusers(tmp_path, tiny_model):
    scheduler = EulerDiscreteScheduler(timestep_type="continuous")
    assert torch.equal(scheduler.timesteps, EulerDiscreteScheduler().timesteps)
    planned(tmp_path, tiny_model, scheduler)


DAMAGED = {
    "short": ({"trained_betas": BETAS[:500]}, "holds 500 numbers, but scheduler.num_train_timesteps is 1000"),
    "long": ({"trained_betas": BETAS * 2}, "holds 2000 numbers"),
    "empty": ({"trained_betas": []}, "holds 0 numbers"),
    "no list": ({"trained_betas": 0.1}, "holds 0 numbers"),
    "nan": ({"trained_betas": [float("nan")] * 1000}, r"trained_betas\[0\]: nan is no beta"),
    "negative": ({"trained_betas": [*BETAS[:-1], -0.1]}, r"trained_betas\[999\]: -0.1 is no beta"),
    "zero": ({"trained_betas": [0.0, *BETAS[1:]]}, r"trained_betas\[0\]: 0.0 is no beta"),
    "large": ({"trained_betas": [1.5] * 1000}, "1.5 is no beta"),
    "text": ({"trained_betas": ["0.1"] * 1000}, "'0.1' is no beta"),
    "beta_start": ({"beta_start": -0.1}, "beta_start: -0.1 is no beta; write a number above 0"),
    "beta_end": ({"beta_end": "0.02"}, "beta_end: '0.02' is no beta"),
    "beta_end null": ({"beta_end": None}, "beta_end: None is no beta"),
    "steps": ({"num_train_timesteps": "1000"}, "num_train_timesteps: '1000' is no number of steps"),
    "no steps": ({"num_train_timesteps": 0}, "num_train_timesteps: 0 is no number"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_betas_that_are_none_are_refused_at_planning_in_words(tmp_path, tiny_model, name):
    edits, words = DAMAGED[name]
    with pytest.raises(WaypointError, match=words):
        planned(tmp_path, tiny_model, DDPMScheduler(), **edits)


def test_betas_of_every_kind_are_taken():
    check_schedule(DDPMScheduler(num_train_timesteps=500, trained_betas=np.array(BETAS[:500], np.float32)).config)
    check_schedule(DDPMScheduler(trained_betas=BETAS, beta_start=0, beta_end=7).config)  # which are then unused
    check_schedule({"beta_schedule": "squaredcos_cap_v2", "beta_start": None})
    check_schedule({"beta_schedule": "sigmoid"})


def steps_0_and_5(kind, config, *condition):
    """Whether the network's output is finite at both steps."""
    network = kind(**{**config, "time_embedding_type": "fourier"}).eval()
    with torch.no_grad():
        return [bool(network(torch.ones(1, 1, 8, 8), t, *condition).sample.isfinite().all()) for t in (0, 5)]


def test_noise_levels_for_steps_are_refused_where_step_0_has_none():
    fourier = {"time_embedding_type": "fourier"}
    assert steps_0_and_5(UNet2DModel, UNET) == [False, True]
    require_supported({"_class_name": "UNet2DModel", **UNET})
    with pytest.raises(WaypointError, match="time_embedding_type 'fourier' is not supported"):
        require_supported({"_class_name": "UNet2DModel", **UNET, **fourier})
    width = TEXT_UNET["cross_attention_dim"]
    assert steps_0_and_5(UNet2DConditionModel, TEXT_UNET, torch.ones(1, 3, width)) == [True, True]
    require_supported({"_class_name": "UNet2DConditionModel", **TEXT_UNET, **fourier})
