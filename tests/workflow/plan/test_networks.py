"""Networks are built and compared with the experiment before the first job, without values."""

import json
import pickle
import subprocess

import numpy as np
import pytest
import torch
from pipelines import UNET, makers, saved, stable_diffusion
from safetensors.torch import load_file, save_file
from support import store, tiny_config, tiny_denoiser

from waypoint.errors import WaypointError
from waypoint.store.networks import checkpoints, weight_files
from waypoint.workflow.plan import networks
from waypoint.workflow.plan.plan import Plan

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def asked(paths, model=None, stored=None, **sections):
    """The question about given models, answered in this process."""
    given = sections.pop("checkpoints", {})
    plan = Plan(tiny_config(model, checkpoints={"paths": paths, **given}, **sections))
    return networks.answer(**json.loads(json.dumps(networks.question(plan, makers(plan), stored))))


def edited(path, change):
    """Replace a model's stored weights by ``change`` of them."""
    save_file(change(load_file(f"{path}/{WEIGHTS}")), f"{path}/{WEIGHTS}")
    return path


def test_models_of_one_experiment_are_taken(tmp_path, tiny_model):
    paths = [saved(tmp_path / name, tiny_denoiser(tiny_model, name)) for name in ("a", "b")]
    asked(paths, tiny_model)
    asked(paths)


@pytest.mark.parametrize("unet, model, message", [
    ({"norm_eps": 1e-6}, True, "norm_eps: 1e-06 against 1e-05"),
    ({"freq_shift": 1}, False, "freq_shift: 1 against 0"),
    ({"sample_size": 16}, False, "sample_size: 16 against 8"),
])  # fmt: skip
def test_other_values_are_named(tmp_path, tiny_model, unet, model, message):
    paths = [saved(tmp_path / "a", tiny_denoiser(tiny_model)), saved(tmp_path / "b", tiny_denoiser(tiny_model, **unet))]
    with pytest.raises(WaypointError, match=message):
        asked(paths, tiny_model if model else None)


@pytest.mark.parametrize("change, message", [
    (lambda weights: {key: w for key, w in weights.items() if key != "conv_in.bias"}, "exactly: conv_in.bias"),
    (lambda weights: weights | {"more": torch.zeros(1)}, "exactly: more"),
    (lambda weights: weights | {"conv_in.bias": torch.zeros(3)}, r"conv_in.bias has the shape \(3,\), .* wants \(8,\)"),
])  # fmt: skip
def test_weights_that_do_not_fill_the_network_are_named(tmp_path, tiny_model, change, message):
    path = edited(saved(tmp_path / "a", tiny_denoiser(tiny_model)), change)
    with pytest.raises(WaypointError, match=message):
        asked([path])


def test_a_folder_without_weights_is_refused(tmp_path, tiny_model):
    path = saved(tmp_path / "a", tiny_denoiser(tiny_model))
    (tmp_path / "a" / WEIGHTS).unlink()
    with pytest.raises(WaypointError, match=f"{WEIGHTS} is missing"):
        asked([path])


def test_pickled_weights_and_names_of_old_versions_are_taken(tmp_path, tiny_model):
    unet = {"down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "attention_head_dim": 4}
    path = saved(tmp_path / "a", tiny_denoiser(tiny_model, **unet))
    weights = load_file(f"{path}/{WEIGHTS}")
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for new, old in names.items():
        weights = {key.replace(f".{new}.", f".{old}."): w for key, w in weights.items()}
    (tmp_path / "a" / WEIGHTS).unlink()
    torch.save(weights, f"{path}/unet/diffusion_pytorch_model.bin")
    asked([path])
    checkpoints.load(path)  # its job takes it too


def test_what_is_pickled_is_never_run(tmp_path, tiny_model):
    path = saved(tmp_path / "a", tiny_denoiser(tiny_model))
    (tmp_path / "a" / WEIGHTS).unlink()

    class Attack:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    (tmp_path / "a/unet/diffusion_pytorch_model.bin").write_bytes(pickle.dumps({"conv_in.bias": Attack()}))
    with pytest.raises(WaypointError, match=r"cannot be read as tensors alone \(Unsupported operand 149\)"):
        asked([path])
    assert not (tmp_path / "ran").exists()


def test_shards_are_put_together(tmp_path, tiny_model):
    denoiser = tiny_denoiser(tiny_model)
    path = saved(tmp_path / "a", denoiser)
    (tmp_path / "a" / WEIGHTS).unlink()
    denoiser.unet.save_pretrained(tmp_path / "a/unet", max_shard_size="10KB")
    assert len(list((tmp_path / "a/unet").glob("*.safetensors"))) > 1
    asked([path])
    found = weight_files.shapes(weight_files.find(tmp_path / "a/unet").files)
    assert found == {key: tuple(weight.shape) for key, weight in denoiser.unet.state_dict().items()}


def trained(model, stored=None, **sections):
    """The question about models that are about to be trained, answered in this process."""
    plan = Plan(tiny_config(model, **sections))
    return networks.answer(**json.loads(json.dumps(networks.question(plan, makers(plan), stored))))


def test_models_to_be_trained_must_fit_the_encoders(tmp_path):
    _, sections = latents(tmp_path)
    sections |= {"checkpoints": {"count": 2}, "attribution": {"steps": [100, 500]}}
    model = {"unet": {**UNET, "cross_attention_dim": 8}, "scheduler": {"clip_sample": False}}
    with pytest.raises(WaypointError, match=r"model.unet attends .* 8\), but text_encoder embeds them in 16 numbers"):
        trained(model, **sections)


def test_a_model_to_be_trained_fits_the_stored_data(tmp_path, tiny_model):
    image = ("train", "channel", "y", "x"), torch.zeros(30, 3, 8, 8)
    with pytest.raises(WaypointError, match="model.unet takes 1 channels .* but the data has 3 channels"):
        trained(tiny_model, str(store(tmp_path / "train.zarr", image=image)))


def test_the_size_of_the_data_is_compared(tmp_path, tiny_model):
    path = saved(tmp_path / "a", tiny_denoiser(tiny_model, sample_size=16))
    with pytest.raises(WaypointError, match=r"takes images of \[16, 16\] pixels, but data.size is 8"):
        asked([path], data={"source": "digits", "size": 8})


def latents(folder, **unet):
    """The paths of a pipeline and the sections of an experiment of latents with its encoders."""
    path = stable_diffusion(folder, **unet)
    captioned = str(folder / "captioned.npz")
    np.savez(captioned, image=np.arange(30 * 64, dtype=np.uint8).reshape(30, 1, 8, 8), caption=["a drawing"] * 30)
    return [path], {
        "data": {"source": "npz", "path": captioned},
        "vae": {"path": path},
        "text_encoder": {"path": path},
        "targets": [{"id": "a", "seed": 1, "prompt": "a red square"}],
        "checkpoints": {"sampler": "ddpm"},
        "attribution": {"steps": [101, 501]},  # of a scheduler with steps_offset 1
    }


def test_a_pipeline_fits_its_own_encoders(tmp_path):
    paths, sections = latents(tmp_path)
    asked(paths, None, **sections)


@pytest.mark.parametrize("unet, message", [
    ({"cross_attention_dim": 8}, r"cross_attention_dim 8\), but text_encoder embeds them in 16 numbers"),
    ({"in_channels": 3, "out_channels": 3}, "takes 3 channels, but the VAE's latents have 4"),
])  # fmt: skip
def test_encoders_that_do_not_fit_are_named(tmp_path, unet, message):
    paths, sections = latents(tmp_path, **unet)
    with pytest.raises(WaypointError, match=message):
        asked(paths, None, **sections)


def test_latents_are_never_clipped(tmp_path):
    paths, sections = latents(tmp_path)
    file = tmp_path / "scheduler/scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"clip_sample": True}))
    (said,) = asked(paths, None, **sections)
    assert said.endswith("clip_sample of its scheduler is turned off: latents are not clipped")


def test_classes_of_stored_data_are_compared(tmp_path, tiny_model):
    data = {"source": "digits", "subset": 30}
    path = saved(tmp_path / "a", tiny_denoiser(tiny_model, num_class_embeds=5))
    labels = ("train",), torch.arange(30) % 10
    image = ("train", "channel", "y", "x"), torch.zeros(30, 1, 8, 8)
    place = store(tmp_path / "train.zarr", image=image, label=labels)
    with pytest.raises(WaypointError, match=r"num_class_embeds 5\), but the data has labels 0 to 9"):
        asked([path], None, str(place), data=data, targets=[{"id": "a", "seed": 1, "label": 0}])


@pytest.mark.parametrize("python", [None, "#!/bin/sh\nexit 1\n"], ids=["none", "without torch"])
def test_where_networks_cannot_be_looked_at_their_jobs_say_what_is_wrong(
    tmp_path, tiny_model, monkeypatch, capsys, python
):
    (tmp_path / "bin").mkdir()
    if python is not None:
        (tmp_path / "bin/python").write_text(python)
        (tmp_path / "bin/python").chmod(0o755)
    plan = Plan(tiny_config(None, checkpoints={"paths": [saved(tmp_path / "a", tiny_denoiser(tiny_model))]}))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    networks.require_fit(plan, makers(plan), None)
    assert "warning: networks are not checked before the first job" in capsys.readouterr().err


def test_gradients_that_are_not_projected_need_room(tmp_path, tiny_model):
    settings = {"methods": {"fisher": {"kernel": {"rows": 10**6}}}, "projection": {"kind": "none"}}
    with pytest.raises(
        WaypointError, match=r"projection\.kind: none would keep \d+ GB .* 30 train features and 1000000"
    ):
        trained(tiny_model, **settings)
    paths = [saved(tmp_path / "a", tiny_denoiser(tiny_model))]
    plan = Plan(tiny_config(None, checkpoints={"paths": paths}, **settings))
    asked = networks.to_examine(plan, [("featurize", {"basis": "plain", "checkpoint": "full/0"}), ("score_fisher", {})])
    assert [stage for stage, _ in asked] == ["featurize"]
    with pytest.raises(WaypointError, match="more than 8 GB are refused"):
        networks.answer(**json.loads(json.dumps(networks.question(plan, asked, None))))


def test_ids_of_the_hub_are_left_to_their_jobs(tmp_path, tiny_model):
    asked(["somebody/model", saved(tmp_path / "a", tiny_denoiser(tiny_model))])


@pytest.mark.parametrize("status", [-2, 130])
def test_ctrl_c_while_networks_are_checked_stops_the_run(monkeypatch, tiny_model, status):
    plan = Plan(tiny_config(tiny_model))
    interrupted = subprocess.CompletedProcess([], status, "", "KeyboardInterrupt")
    monkeypatch.setattr(networks.subprocess, "run", lambda *_, **__: interrupted)
    with pytest.raises(WaypointError, match="stopped before the first job; nothing was changed"):
        networks.require_fit(plan, [("train", {"checkpoint": "full/0"})], None)
