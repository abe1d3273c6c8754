"""VAEs, text encoders, tokenizers and sizes that a job would refuse are refused when a run is planned."""

import json
import shutil

import pytest
from diffusers import DDPMScheduler, UNet2DModel
from pipelines import SDXL_UNET, sdxl, stable_diffusion
from safetensors.torch import load_file, save_file
from support import UNET, seeded
from test_networks import asked, latents, trained
from transformers import BertConfig, BertModel, T5Config, T5EncoderModel, T5ForConditionalGeneration

from waypoint.errors import WaypointError
from waypoint.store.networks.text_encoder import embedding_width
from waypoint.store.networks.text_encoder_files import require_weights
from waypoint.store.networks.vae import latent_channels, load_vae

VAE = "vae/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return stable_diffusion(tmp_path_factory.mktemp("sd"))


@pytest.fixture
def folder(tmp_path, written):
    shutil.copytree(written, tmp_path / "a")
    return tmp_path / "a"


def edited(file, **settings):
    config = json.loads(file.read_text()) | settings
    file.write_text(json.dumps({key: value for key, value in config.items() if value != "gone"}))


def replaced(file, change):
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def cut(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-50])


def page(name):
    return lambda folder: (folder / name).write_bytes(b"<html>")


VAES = {
    "cut": (cut(VAE), "is cut short"),
    "missing": (lambda folder: (folder / VAE).unlink(), f"{VAE} is missing"),
    "page": (page(VAE), "is a web page, not weights"),
    "shapes": (
        lambda folder: edited(folder / "vae/config.json", latent_channels=8),
        r"encoder.conv_out.weight has the shape \(8, 8, 3, 3\), and the config wants \(16, 8, 3, 3\)",
    ),
    "names": (
        lambda folder: edited(folder / "vae/config.json", block_out_channels=[8, 16]),
        "conv_shortcut.bias is missing, and 3 more",
    ),
    "mean": (lambda folder: edited(folder / "vae/config.json", latents_mean=[0.0] * 4), "latents_mean of its config"),
    "std": (lambda folder: edited(folder / "vae/config.json", latents_std=[1.0] * 4), "latents_std of its config"),
    "scale": (
        lambda folder: edited(folder / "vae/config.json", scaling_factor=None),
        "scaling_factor of its config.json is None, not a number above 0",
    ),
}


@pytest.mark.parametrize("name", VAES)
def test_a_vae_that_its_job_would_refuse_is_refused_by_planning(folder, name):
    change, words = VAES[name]
    change(folder)
    with pytest.raises(WaypointError, match=f"vae {folder}: .*{words}"):
        latent_channels(str(folder))
    with pytest.raises(WaypointError):
        load_vae(str(folder))


def test_a_vae_without_scaling_factor_has_diffusers_default(folder):
    edited(folder / "vae/config.json", scaling_factor="gone")
    assert latent_channels(str(folder)) == 4
    assert load_vae(str(folder)).scale == 0.18215


TEXTS = {
    "weights": (lambda folder: (folder / TEXT).unlink(), f"{TEXT} is missing"),
    "cut": (cut(TEXT), "is cut short"),
    "some": (
        lambda folder: replaced(folder / TEXT, lambda s: {name: q for name, q in s.items() if "final" not in name}),
        "it lacks the weights .*final_layer_norm.bias, and 1 more",
    ),
    "shapes": (
        lambda folder: edited(folder / "text_encoder/config.json", intermediate_size=32),
        r"mlp.fc1.\w+ has the shape \(16.*, and its config wants \(32",
    ),
    "tokenizer": (lambda folder: shutil.rmtree(folder / "tokenizer"), "has no tokenizer; there are no files"),
    "vocabulary": (
        lambda folder: [
            file.unlink() for file in (folder / "tokenizer").iterdir() if file.name != "tokenizer_config.json"
        ],
        "vocabulary|its tokenizer in",
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_encoder_that_its_job_would_refuse_is_refused_by_planning(folder, name):
    change, words = TEXTS[name]
    change(folder)
    with pytest.raises(WaypointError, match=f"text_encoder: {folder}.*({words})"):
        embedding_width(str(folder))


def test_a_tokenizer_of_more_tokens_than_the_encoder_is_refused(folder):
    edited(folder / "text_encoder/config.json", vocab_size=50)
    replaced(
        folder / TEXT, lambda s: {name: q[:50].clone() if "token_embedding" in name else q for name, q in s.items()}
    )
    with pytest.raises(WaypointError, match=r"a tokenizer of 514 tokens, .* only 50 \(vocab_size\)"):
        embedding_width(str(folder))


def test_the_second_encoder_of_sdxl_is_looked_at_too(tmp_path):
    sdxl(tmp_path)
    assert embedding_width(tmp_path) == SDXL_UNET["cross_attention_dim"]
    file = tmp_path / "text_encoder_2/model.safetensors"
    replaced(file, lambda s: {name: q for name, q in s.items() if "text_projection" not in name})
    with pytest.raises(WaypointError, match="text_encoder_2 cannot be loaded: it lacks the weights text_projection"):
        embedding_width(tmp_path)


T5 = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2, "vocab_size": 20}
BERT = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 20}


@pytest.mark.parametrize("build", [
    lambda: T5EncoderModel(T5Config(**T5)),
    lambda: T5ForConditionalGeneration(T5Config(**T5)),
    lambda: BertModel(BertConfig(**BERT)),
    lambda: BertModel(BertConfig(**BERT), add_pooling_layer=False),
], ids=["t5", "whole t5", "bert", "bert without pooler"])  # fmt: skip
def test_encoders_of_other_kinds_are_taken(tmp_path, build):
    build().save_pretrained(tmp_path)
    require_weights(tmp_path)
    replaced(tmp_path / "model.safetensors", lambda s: {n: s[n] for n in s if ".q." not in n and ".query." not in n})
    with pytest.raises(WaypointError, match="lacks the weights"):
        require_weights(tmp_path)


THREE = {
    **UNET,
    "block_out_channels": [8, 8, 8],
    "down_block_types": ["DownBlock2D"] * 3,
    "up_block_types": ["UpBlock2D"] * 3,
}


def stored(folder, **config):
    seeded(lambda: UNet2DModel(**{**THREE, **config})).save_pretrained(folder / "unet")
    DDPMScheduler().save_pretrained(folder / "scheduler")
    return str(folder)


def test_sizes_that_the_levels_do_not_halve_are_refused(tmp_path):
    path = stored(tmp_path, sample_size=10)
    with pytest.raises(WaypointError, match=r"sample_size of its unet: .* at 10, which its 3 levels .* multiples of 4"):
        asked([path])
    asked([path], sampling={"size": 12})
    with pytest.raises(WaypointError, match=r"sampling.size: the network works at 14, .* multiples of 4 are possible"):
        asked([path], sampling={"size": 14})
    with pytest.raises(WaypointError, match=r"model.unet.sample_size: the network works at 10.* multiples of 4"):
        trained({"unet": {**THREE, "sample_size": 10}, "scheduler": {"num_train_timesteps": 1000}})


def test_fewer_learned_embeddings_of_time_than_steps_are_refused(tmp_path):
    path = stored(tmp_path / "a", time_embedding_type="learned", num_train_timesteps=500)
    with pytest.raises(WaypointError, match="num_train_timesteps: the network has 500 learned .* has 1000 steps"):
        asked([path])
    asked([stored(tmp_path / "b", time_embedding_type="learned", num_train_timesteps=1000)])


def test_one_width_of_captions_for_every_level_is_one_width(tmp_path):
    paths, sections = latents(tmp_path, cross_attention_dim=[16, 16])
    asked(paths, None, **sections)
