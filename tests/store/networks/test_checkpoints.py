"""Model folders: bit-equal after a round trip, open in diffusers, and compared by value, not only by shape."""

import json
import os
import shutil

import huggingface_hub
import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file
from support import AUTOENCODER, TEXT_UNET, captioned, images, tiny_clip, tiny_denoiser
from transformers import CLIPTextModel, CLIPTokenizer

from waypoint.errors import WaypointError
from waypoint.science.networks.kinds.unet2d_condition import MORE_CONDITIONS, check
from waypoint.science.processes.ddpm import trajectory
from waypoint.science.processes.guidance import guided
from waypoint.store.artifacts.fingerprint import weights_hash
from waypoint.store.networks import checkpoints, hub
from waypoint.store.networks.hub import fetch
from waypoint.store.networks.text_encoder import TextEncoder

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def outputs(denoiser, label=None):
    with torch.no_grad():
        return denoiser.output(images(3), torch.tensor([0, 500, 999]), label)


def losses(denoiser):
    """Losses on which both the UNet's configuration and the scheduler's have an effect."""
    with torch.no_grad():
        return denoiser.train_loss(images(3), torch.tensor([10, 500, 990]), images(3, seed=1))


@pytest.fixture
def denoiser(tiny_model):
    return tiny_denoiser(tiny_model)


@pytest.fixture
def folder(tmp_path, denoiser):
    """A stored checkpoint."""
    checkpoints.save(denoiser.unet, denoiser.scheduler, tmp_path / "0")
    return tmp_path / "0"


def rewrite(path, **changes):
    """Change keys of a JSON file; None removes one."""
    found = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in found.items() if value is not None}))


# ---- build


def flat(model, seed, name):
    return torch.cat([q.detach().reshape(-1) for q in checkpoints.build(model, seed, name).unet.parameters()])


def test_initial_weights_follow_from_seed_and_name(tiny_model):
    first = flat(tiny_model, 0, "full/0")
    assert torch.equal(first, flat(tiny_model, 0, "full/0"))
    assert not torch.equal(first, flat(tiny_model, 0, "full/1")) and not torch.equal(
        first, flat(tiny_model, 1, "full/0")
    )


def test_building_leaves_the_global_generator_alone(tiny_model):
    before = torch.get_rng_state()
    checkpoints.build(tiny_model, 0, "full/0")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "unet, name",
    [
        ({"norm_num_groups": 3}, "norm_groups|num_groups|divisible"),
        ({"block_out_channels": [8]}, "block_out_channels"),
        ({"down_block_types": ["DownBlock2D"]}, "down_block_types"),
        ({"up_block_types": ["UpBlock2D", "NoBlock2D"]}, "NoBlock2D"),
        ({"no_such_argument": 1}, "no_such_argument"),
    ],
)
def test_a_unet_that_diffusers_refuses_is_named(tiny_model, unet, name):
    with pytest.raises(WaypointError, match=f"^model.unet: .*({name})"):
        tiny_denoiser(tiny_model, **unet)


# ---- save and load


@pytest.mark.parametrize("classes", [None, 3])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_round_trip_gives_the_same_bits(tmp_path, tiny_model, classes, prediction):
    scheduler = {**tiny_model["scheduler"], "prediction_type": prediction, "beta_schedule": "squaredcos_cap_v2"}
    before = tiny_denoiser({**tiny_model, "scheduler": scheduler}, num_class_embeds=classes)
    checkpoints.save(before.unet, before.scheduler, tmp_path)
    after = checkpoints.load(tmp_path)
    label = None if classes is None else torch.tensor([0, 1, 2])
    assert torch.equal(outputs(before, label), outputs(after, label))
    assert torch.equal(before.alphas_cumprod, after.alphas_cumprod) and before.predicts_v == after.predicts_v
    assert not checkpoints.differences(before.unet, after.unet)
    assert not checkpoints.differences(before.scheduler, after.scheduler)
    assert not after.unet.training


def test_diffusers_opens_the_folder(folder, denoiser):
    pipeline = DDPMPipeline.from_pretrained(folder)
    assert torch.equal(pipeline.unet(images(3), torch.tensor([0, 500, 999])).sample, outputs(denoiser))
    assert type(pipeline.scheduler) is DDPMScheduler
    image = pipeline(num_inference_steps=2, output_type="np", generator=torch.manual_seed(0)).images
    assert image.shape == (1, 8, 8, 1) and np.isfinite(image).all()


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_others_may_read_what_the_umask_allows(tmp_path, denoiser, mask):
    before = os.umask(mask)
    try:
        checkpoints.save(denoiser.unet, denoiser.scheduler, tmp_path / "0")
    finally:
        os.umask(before)
    files = [file for file in (tmp_path / "0").rglob("*") if file.is_file()]
    assert len(files) == 4 and {file.stat().st_mode & 0o777 for file in files} == {0o666 & ~mask}


def test_weights_are_safetensors_only(folder):
    assert {file.suffix for file in folder.rglob("*") if file.is_file()} == {".json", ".safetensors"}


# ---- existing models


def test_a_pipeline_folder_is_taken(folder, denoiser):
    assert torch.equal(outputs(checkpoints.load(str(folder))), outputs(denoiser))


@pytest.mark.parametrize("scheduler", ["", "scheduler"])
def test_a_bare_unet_folder_is_taken(tmp_path, denoiser, scheduler):
    denoiser.unet.save_pretrained(tmp_path)
    DDPMScheduler(beta_end=0.01).save_pretrained(tmp_path / scheduler)
    taken = checkpoints.load(str(tmp_path))
    assert torch.equal(outputs(taken), outputs(denoiser)) and taken.scheduler.config.beta_end == 0.01


@pytest.mark.parametrize("flat", [False, True], ids=["pipeline", "bare UNet"])
def test_a_model_of_the_hub_is_taken(tmp_path, monkeypatch, denoiser, flat):
    """google/ddpm-cifar10-32, the paper's architecture, keeps everything at the top."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--google--ddpm-cifar10-32"
    snapshot = repository / "snapshots" / ("0" * 40)
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(snapshot.name)
    checkpoints.save(denoiser.unet, denoiser.scheduler, snapshot)
    if flat:
        for folder in (snapshot / "unet", snapshot / "scheduler"):
            for file in folder.iterdir():
                file.rename(snapshot / file.name)
            folder.rmdir()
    assert torch.equal(outputs(checkpoints.load("google/ddpm-cifar10-32")), outputs(denoiser))


PIPELINE = ["model_index.json", "v2.safetensors", "unet/config.json", "unet/diffusion_pytorch_model.safetensors"]
PIPELINE += [f"{part}/{file}" for part in ("vae", "text") for file in ("config.json", "model.safetensors")]
PIPELINE += ["vae/model.fp16.safetensors", "words/vocab.json", "words/merges.txt"]
HALF = ["model_index.json", "vae/config.json", "vae/model.fp16.safetensors", "unet/config.json"]
OLD = [file.replace(".safetensors", ".bin") for file in PIPELINE]


@pytest.mark.parametrize(
    "repository, parts, taken",
    [
        (PIPELINE, ["vae"], ["vae/config.json", "vae/model.safetensors"]),
        (PIPELINE, ["text", "words"], [f for f in PIPELINE if f.startswith(("text", "words"))]),
        (PIPELINE, [], [f for f in PIPELINE if "fp16" not in f]),
        (OLD, ["vae"], ["vae/config.json", "vae/model.bin"]),
        (HALF, ["vae"], ["vae/config.json", "vae/model.fp16.safetensors"]),
        (["config.json", "model.safetensors", "flax.msgpack"], ["vae"], ["config.json", "model.safetensors"]),
    ],
    ids=["a part", "two parts", "everything", "without safetensors", "fp16 alone", "without parts"],
)
def test_only_the_parts_that_are_used_are_downloaded(tmp_path, monkeypatch, repository, parts, taken):
    def download(source, **patterns):
        for file in huggingface_hub.utils.filter_repo_objects(repository, **patterns):
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).touch()
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", download)
    assert fetch("some/pipeline", parts=parts) == str(tmp_path)
    assert sorted(str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*") if f.is_file()) == sorted(taken)


@pytest.mark.parametrize("source", ["/nowhere/0", "./nowhere", "nowhere", "~/nowhere", "a/b/c"])
def test_a_missing_folder_is_named(source):
    with pytest.raises(WaypointError, match=f"checkpoint {source}: no such folder"):
        checkpoints.load(source)


def test_an_unknown_hub_id_is_named():
    with pytest.raises(WaypointError, match="nobody/nothing: no such folder; as a hub id: cannot be fetched"):
        checkpoints.load("nobody/nothing")


@pytest.mark.parametrize("part", ["unet/config.json", WEIGHTS, "scheduler/scheduler_config.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_damaged_folder_is_named(folder, part, damage):
    file = folder / part
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(WaypointError, match=f"checkpoint {folder}: .*(cannot be loaded|cut short)"):
        checkpoints.load(str(folder))


@pytest.mark.parametrize("change", ["missing", "left over"])
def test_weights_that_do_not_fill_the_model_exactly_are_refused(folder, change):
    """diffusers fills what is missing with random numbers and ignores what is too much, with a warning each."""
    weights = load_file(folder / WEIGHTS)
    if change == "missing":
        del weights["conv_in.bias"]
    else:
        weights["conv_in.more"] = torch.zeros(1)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(WaypointError, match=f"checkpoint {folder}: .*conv_in"):
        checkpoints.load(str(folder))


def test_another_sampler_is_refused_by_name(folder):
    DDIMScheduler().save_pretrained(folder / "scheduler")
    with pytest.raises(WaypointError, match=f"checkpoint {folder}: scheduler DDIMScheduler is not supported"):
        checkpoints.load(str(folder))


@pytest.mark.parametrize(
    "key, value", [("prediction_type", "sample"), ("variance_type", "learned_range"), ("thresholding", True)]
)
def test_what_is_not_computed_is_refused_by_name(folder, tiny_model, key, value):
    DDPMScheduler(**{key: value}).save_pretrained(folder / "scheduler")
    with pytest.raises(WaypointError, match=f"{folder}.*scheduler.{key}"):
        checkpoints.load(str(folder))
    with pytest.raises(WaypointError, match=f"scheduler.{key}"):
        checkpoints.build({**tiny_model, "scheduler": {key: value}}, 0, "full/0")


def test_learned_variance_is_refused(folder):
    DDPMScheduler(variance_type="learned").save_pretrained(folder / "scheduler")
    with pytest.raises(WaypointError, match="learned variance"):
        checkpoints.load(str(folder))


# ---- compared by value

SILENT = {
    "unet": {"flip_sin_to_cos": False, "freq_shift": 1, "norm_eps": 1e-2},
    "scheduler": {"prediction_type": "v_prediction", "beta_schedule": "squaredcos_cap_v2"},
}


@pytest.mark.parametrize("part, key", [(part, key) for part in SILENT for key in SILENT[part]])
def test_equal_shapes_are_not_equal_models(tiny_model, denoiser, part, key):
    changed = {**tiny_model, part: {**tiny_model[part], key: SILENT[part][key]}}
    other = tiny_denoiser(changed)
    other.unet.load_state_dict(denoiser.unet.state_dict(), strict=True)  # no error: every shape agrees
    assert (losses(other) - losses(denoiser)).abs().max() > 1e-4
    found = checkpoints.differences(getattr(other, part), getattr(denoiser, part))
    mine, theirs = (getattr(model, part).config for model in (other, denoiser))
    assert found == [f"{key}: {mine[key]!r} against {theirs[key]!r}"]
    with pytest.raises(WaypointError) as caught:
        checkpoints.require_same(other, denoiser, "mine", "theirs")
    for word in ("mine", "theirs", part, f"{key}: {mine[key]!r} against {theirs[key]!r}"):
        assert word in str(caught.value)


def test_every_difference_is_listed(tiny_model, denoiser):
    other = tiny_denoiser(tiny_model, freq_shift=1, norm_eps=1e-6)
    found = checkpoints.differences(other.unet, denoiser.unet)
    assert [line.split(":")[0] for line in found] == ["freq_shift", "norm_eps"]


def test_defaults_left_out_and_written_out_are_the_same(tiny_model, denoiser):
    written = tiny_denoiser(tiny_model, freq_shift=0, flip_sin_to_cos=True, norm_eps=1e-5)
    checkpoints.require_same(written, denoiser, "mine", "theirs")


def test_stored_and_built_models_are_the_same(folder, denoiser):
    checkpoints.require_same(checkpoints.load(str(folder)), denoiser, str(folder), "config: model")


def test_diffusers_own_keys_do_not_count(folder, denoiser):
    rewrite(folder / "unet/config.json", _diffusers_version="0.1.0", _name_or_path="elsewhere")
    checkpoints.require_same(checkpoints.load(str(folder)), denoiser, str(folder), "config: model")


# ---- fit


@pytest.mark.parametrize("size", [8, [8, 8]])
def test_a_model_that_fits_is_accepted(tiny_model, size):
    checkpoints.require_fit(tiny_denoiser(tiny_model, sample_size=size), (1, 8, 8), None, "model.unet")


@pytest.mark.parametrize(
    "unet, shape",
    [
        ({}, (1, 8, 16)),
        ({}, (3, 8, 8)),
        ({"sample_size": [8, 16]}, (1, 16, 8)),
        ({"out_channels": 2}, (1, 8, 8)),
        ({"sample_size": None}, (1, 8, 8)),
    ],
)
def test_images_that_do_not_fit_are_refused(tiny_model, unet, shape):
    with pytest.raises(WaypointError, match=r"^checkpoint x takes .* data has .*model.unet, or data.size"):
        checkpoints.require_fit(tiny_denoiser(tiny_model, **unet), shape, None, "checkpoint x")


def test_a_class_conditional_model_needs_labels(tiny_model):
    conditional = tiny_denoiser(tiny_model, num_class_embeds=3)
    checkpoints.require_fit(conditional, (1, 8, 8), np.array([0, 2, 1]), "model.unet")
    for labels, name in ((None, "no labels"), ([0, 3], "labels 0 to 3"), ([-1, 2], "labels -1 to 2")):
        with pytest.raises(WaypointError, match=f"model.unet is class-conditional .* {name}"):
            checkpoints.require_fit(conditional, (1, 8, 8), labels and np.array(labels), "model.unet")


def test_labels_do_not_hinder_an_unconditional_model(denoiser):
    checkpoints.require_fit(denoiser, (1, 8, 8), np.array([0, 99]), "model.unet")


def test_a_label_is_for_class_conditional_models_only(tiny_model, denoiser):
    conditional = tiny_denoiser(tiny_model, num_class_embeds=3)
    assert checkpoints.target_condition(denoiser, {"seed": 0}) is None
    assert checkpoints.target_condition(conditional, {"seed": 0, "label": 2}).tolist() == [2]
    with pytest.raises(WaypointError, match="label: the generating model is not class-conditional"):
        checkpoints.target_condition(denoiser, {"seed": 0, "label": 2})
    with pytest.raises(WaypointError, match="label: the generating model is class-conditional and needs one"):
        checkpoints.target_condition(conditional, {"seed": 0})


# ---- identity


def test_weights_hash_is_the_weights(tmp_path, folder, denoiser):
    before = weights_hash(folder)
    shutil.copytree(folder, tmp_path / "copy")
    rewrite(tmp_path / "copy/model_index.json", _diffusers_version="0.1.0")
    checkpoints.save(denoiser.unet, denoiser.scheduler, tmp_path / "again")
    assert weights_hash(tmp_path / "copy") == weights_hash(tmp_path / "again") == before
    with torch.no_grad():
        bias = denoiser.unet.conv_out.bias
        bias[0] = torch.nextafter(bias[0], torch.tensor(torch.inf))
    checkpoints.save(denoiser.unet, denoiser.scheduler, tmp_path / "changed")
    assert weights_hash(tmp_path / "changed") != before


# ---- text-conditional models


@pytest.fixture
def text_model(tiny_model):
    return tiny_denoiser({**tiny_model, "unet": TEXT_UNET})


def test_a_text_conditional_model_is_stored_and_loaded(tmp_path, text_model):
    checkpoints.save(text_model.unet, text_model.scheduler, tmp_path / "0")
    found, (captions, _) = checkpoints.load(tmp_path / "0"), captioned(3)
    assert isinstance(found.unet, UNet2DConditionModel) and not found.unet.training
    assert found.conditioned_by == "encoder_hidden_states"
    assert torch.equal(outputs(found, captions), outputs(text_model, captions))


@pytest.mark.parametrize("key", MORE_CONDITIONS)
def test_a_model_of_further_conditions_is_refused(text_model, key):
    with pytest.raises(WaypointError, match=f"{key} 'something' is not supported; captions are"):
        check({**text_model.unet.config, key: "something"})
    check(text_model.unet.config)


def test_another_network_is_refused_by_name(folder):
    rewrite(folder / "unet/config.json", _class_name="UNet1DModel")
    with pytest.raises(
        WaypointError, match="checkpoint .*network UNet1DModel is not supported; UNet2DModel and UNet2D"
    ):
        checkpoints.load(folder)


@pytest.mark.parametrize("width, words", [(None, "no embedded captions"), (16, "captions embedded in 16 numbers")])
def test_captions_that_do_not_fit_are_refused(text_model, width, words):
    with pytest.raises(WaypointError, match=rf"cross_attention_dim 8\), but the data has {words}; fit text_encoder"):
        checkpoints.require_fit(text_model, (1, 8, 8), None, "0", width)
    checkpoints.require_fit(text_model, (1, 8, 8), None, "0", 8)


def test_a_prompt_is_for_text_conditional_models_only(denoiser, text_model):
    text, row = captioned(1)[0][0], {"seed": 1, "prompt": "a dog"}
    assert torch.equal(checkpoints.target_condition(text_model, row, text), text[None])
    assert checkpoints.target_condition(denoiser, {"seed": 1}) is None
    with pytest.raises(WaypointError, match="targets: prompt: the generating model is text-conditional and needs one"):
        checkpoints.target_condition(text_model, {"seed": 1})
    with pytest.raises(WaypointError, match="targets: prompt: the generating model is not text-conditional"):
        checkpoints.target_condition(denoiser, row, text)


# ---- schedulers of models that come along


@pytest.mark.parametrize("other", [DDIMScheduler, PNDMScheduler, EulerDiscreteScheduler])
def test_ancestral_takes_noise_and_prediction_of_another_sampler(other):
    made = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    theirs = other(**made, prediction_type="v_prediction")
    found = checkpoints.ancestral({**theirs.config, "_class_name": other.__name__})
    assert torch.allclose(found.alphas_cumprod, theirs.alphas_cumprod)
    assert found.config.prediction_type == "v_prediction"
    assert found.config.clip_sample == theirs.config.get("clip_sample", False)


def test_a_scheduler_without_betas_is_refused_by_name():
    with pytest.raises(WaypointError, match="scheduler FlowMatchEulerDiscreteScheduler has no beta_end"):
        checkpoints.ancestral({"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000})


def test_an_existing_model_is_sampled_ancestrally_where_that_is_asked_for(folder, denoiser):
    DDIMScheduler(beta_end=0.03, clip_sample=False).save_pretrained(folder / "scheduler")
    with pytest.raises(WaypointError, match="DDIMScheduler is not supported: .*set checkpoints.sampler: ddpm"):
        checkpoints.load(folder)
    found = checkpoints.load(folder, sampler="ddpm", timestep_spacing="trailing")
    assert isinstance(found.scheduler, DDPMScheduler)
    assert (found.scheduler.config.timestep_spacing, found.scheduler.config.beta_end) == ("trailing", 0.03)


# ---- diffusers' own pipeline


def test_stable_diffusions_pipeline_opens_what_is_stored(tmp_path, tiny_model):
    """One denoising step of the pipeline under guidance is ours, from the prompt to x_0."""
    whole, folder = tiny_clip(tmp_path / "whole"), tmp_path / "0"
    unet = {**TEXT_UNET, "sample_size": 4, "in_channels": 4, "out_channels": 4, "cross_attention_dim": 16}
    theta = tiny_denoiser({"unet": unet, "scheduler": {"clip_sample": False, "steps_offset": 1}})
    checkpoints.save(theta.unet, theta.scheduler, folder)
    parts = {
        "vae": AutoencoderKL(**{**AUTOENCODER, "latent_channels": 4}),
        "text_encoder": CLIPTextModel.from_pretrained(whole),
        "tokenizer": CLIPTokenizer.from_pretrained(whole, model_max_length=24),
    }
    pipeline = StableDiffusionPipeline.from_pretrained(folder, **parts, safety_checker=None, feature_extractor=None)
    encoder = TextEncoder(whole)
    given, null = encoder(["a dog", ""])
    start = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    settings = {"num_inference_steps": 1, "guidance_scale": 3.0, "height": 8, "width": 8, "output_type": "latent"}
    theirs = pipeline("a dog", latents=start, generator=torch.Generator().manual_seed(1), **settings).images
    noise = torch.Generator().manual_seed(1)
    *_, ours = trajectory(guided(checkpoints.load(folder), null, 3.0), 1, start, noise, given[None])
    assert torch.allclose(ours, theirs[0], rtol=1e-4, atol=1e-4 * theirs.abs().max())
