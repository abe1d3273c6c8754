"""data/train.zarr of latent and text-conditional models: latents and embedded captions against direct ones."""

import json
import os
import shutil
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support import AUTOENCODER, images, run_script, store, tiny_bert

from waypoint.science.random_streams import torch_stream
from waypoint.store.networks.text_encoder import TextEncoder
from waypoint.store.zarr.reader import open_store, read

N = 70  # more than one batch
CAPTIONS = [f"a {('red', 'blue', 'round')[k % 3]} thing" for k in range(N)]
ITEMS = np.arange(N) + 3  # names of the images, which key their noises
DIMS = ["train", "channel", "y", "x"]
WEIGHTS = "diffusion_pytorch_model.safetensors"


def vae_folder(folder, seed=0):
    """A random VAE with a shift and a scale, as import_encoder would leave it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        settings = {"in_channels": 1, "out_channels": 1, "scaling_factor": 0.7, "shift_factor": 0.3}
        diffusers.AutoencoderKL(**AUTOENCODER, **settings).save_pretrained(folder)
    (folder / "waypoint.json").write_text(json.dumps({"spec": {}, "weights": "w"}))
    return folder


def text_folder(folder, **changes):
    tiny_bert(folder, **changes)
    (folder / "waypoint.json").write_text(json.dumps({"spec": {}, "weights": "w"}))
    return folder


@pytest.fixture
def inputs(tmp_path):
    """{images, vae, text}: what the rule reads."""
    arrays = {"image": (DIMS, images(N).numpy()), "train": (["train"], ITEMS), "label": (["train"], np.arange(N) % 2)}
    attributes = {"sha256": "fixed", "source": {"look": "l", "sha256": "s"}}
    made = store(tmp_path / "images.zarr", attributes, **arrays, caption=(["train"], np.array(CAPTIONS)))
    return {"images": made, "vae": vae_folder(tmp_path / "vae"), "text": text_folder(tmp_path / "text")}


def encoded(tmp_path, inputs, latent="mean", seed=0, max_length=6, **changes):
    """The script's output for these inputs; None leaves one out."""
    given = {name: path for name, path in {**inputs, **changes}.items() if path}
    spec = {"seed": seed}
    spec |= {"vae": {"path": "v", "latent": latent}} if "vae" in given else {}
    spec |= {"text_encoder": {"path": "t", "max_length": max_length}} if "text" in given else {}
    out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}.zarr"
    run_script("encode_data", spec=spec, **given, out=out)
    return open_store(out)


def posterior(inputs):
    vae = diffusers.AutoencoderKL.from_pretrained(inputs["vae"]).eval()
    with torch.no_grad():
        return vae.encode(images(N)).latent_dist


def test_latents_are_the_scaled_means(tmp_path, inputs):
    found = encoded(tmp_path, inputs)["latent"]
    assert found.metadata.dimension_names == ("train", "latent_channel", "latent_y", "latent_x")
    assert np.allclose(found[:], (posterior(inputs).mean - 0.3) * 0.7, atol=1e-5)


def test_sampled_latents_have_a_noise_of_each_image(tmp_path, inputs):
    found = encoded(tmp_path, inputs, "sample", seed=4)["latent"][:]
    noise = torch.stack([torch.randn(2, 4, 4, generator=torch_stream(4, "latent", int(i))) for i in ITEMS])
    wanted = posterior(inputs)
    assert np.allclose(found, (wanted.mean + wanted.std * noise - 0.3) * 0.7, atol=1e-5)
    assert not np.allclose(found, encoded(tmp_path, inputs, "sample", seed=5)["latent"][:], atol=1e-2)


def test_captions_are_embedded_as_the_encoder_does(tmp_path, inputs):
    found, encoder = encoded(tmp_path, inputs), TextEncoder(inputs["text"], 6)
    assert found["text_embedding"].metadata.dimension_names == ("train", "token", "width")
    assert np.allclose(found["text_embedding"][:], encoder(CAPTIONS), atol=1e-5)
    assert found["text_embedding"].shape == (N, 6, 8)
    assert np.allclose(found["null_embedding"][:], encoder([""])[0], atol=1e-5)


def test_images_captions_and_labels_come_along_without_taking_space_twice(tmp_path, inputs):
    found, before = encoded(tmp_path, inputs), open_store(inputs["images"])
    for name in ("image", "label", "train"):
        assert np.array_equal(read(found[name]), read(before[name])), name
    assert list(read(found["caption"])) == CAPTIONS
    for chunk in Path(inputs["images"], "image/c").rglob("*"):
        if chunk.is_file():
            place = Path(found.store_path.store.root, chunk.relative_to(inputs["images"]))
            assert os.stat(place).st_ino == os.stat(chunk).st_ino
    assert found.attrs["source"] == before.attrs["source"] and found.attrs["stage"] == "encode_data"


def test_without_links_chunks_are_copied(tmp_path, inputs, monkeypatch):
    link = os.link

    def refused(source, to):
        if str(source).startswith(str(inputs["images"])):  # zarr links files of its own
            raise OSError("another device")
        link(source, to)

    monkeypatch.setattr(os, "link", refused)
    found = encoded(tmp_path, inputs)
    assert np.array_equal(read(found["image"]), images(N).numpy())
    shutil.rmtree(inputs["images"])
    assert list(read(found["caption"])) == CAPTIONS


@pytest.mark.parametrize(
    "left_out, arrays", [("vae", {"text_embedding", "null_embedding"}), ("text", {"latent"})], ids=["no vae", "no text"]
)
def test_one_encoder_alone(tmp_path, inputs, left_out, arrays):
    found = encoded(tmp_path, inputs, **{left_out: None})
    assert set(found.array_keys()) - set(open_store(inputs["images"]).array_keys()) == arrays


def test_images_that_the_vae_does_not_take_are_named(tmp_path, inputs, capsys):
    attributes = {"sha256": "f", "source": None}
    arrays = {"image": (DIMS, np.zeros((2, 3, 8, 8), np.float32)), "train": (["train"], np.arange(2))}
    with pytest.raises(SystemExit):
        encoded(tmp_path, inputs, images=store(tmp_path / "rgb.zarr", attributes, **arrays), text=None)
    assert "vae takes images of 1 channels, the data has 3" in capsys.readouterr().err
    assert not list(tmp_path.glob("out-*"))


# ---- the identity of what is trained on it


def test_the_identity_is_of_images_and_encoders(tmp_path, inputs):
    """A VAE or text encoder made again under the same settings gives other data: no training mixes the two."""
    first = encoded(tmp_path, inputs).attrs["sha256"]
    assert first == encoded(tmp_path, inputs).attrs["sha256"] != "fixed"
    others = {
        "vae": vae_folder(tmp_path / "other-vae", seed=1),
        "text": text_folder(tmp_path / "other-text", seed=1),
        "images": store(
            tmp_path / "other.zarr",
            {"sha256": "other", "source": None},
            image=(DIMS, images(N).numpy()),
            train=(["train"], ITEMS),
            caption=(["train"], np.array(CAPTIONS)),
        ),
    }
    found = {name: encoded(tmp_path, inputs, **{name: path}).attrs["sha256"] for name, path in others.items()}
    assert len({first, *found.values()}) == 4


def test_the_identity_is_of_settings_too_but_not_of_places(tmp_path, inputs):
    first, config = encoded(tmp_path, inputs).attrs["sha256"], inputs["vae"] / "config.json"
    settings = json.loads(config.read_text())
    config.write_text(json.dumps({**settings, "_name_or_path": "elsewhere"}))
    assert encoded(tmp_path, inputs).attrs["sha256"] == first
    config.write_text(json.dumps({**settings, "scaling_factor": 0.8}))
    assert encoded(tmp_path, inputs).attrs["sha256"] != first


def test_models_of_other_latents_are_neither_taken_over_nor_attributed(tmp_path, inputs, tiny_model, capsys):
    unet = {**tiny_model["unet"], "sample_size": 4, "in_channels": 2, "out_channels": 2}
    recipe = {"epochs": 1, "batch_size": 50, "learning_rate": 1e-3, "weight_decay": 0.0, "ema": None}
    recipe |= {"gradient_clip": None, "flip": False}
    spec = {"seed": 0, "model": {"unet": unet, "scheduler": {"clip_sample": False}}, "training": recipe}
    first = encoded(tmp_path, inputs, text=None)
    weights = load_file(inputs["vae"] / WEIGHTS)
    save_file({name: 2 * values for name, values in weights.items()}, inputs["vae"] / WEIGHTS)
    second = encoded(tmp_path, inputs, text=None)
    removed = {"images": {"random": 0, "remove": 7}}
    for k, data in enumerate((first, second)):
        run_script(
            "train",
            spec=spec | removed,
            data=data.store_path.store.root,
            name=f"without/{k}",
            resume=tmp_path / "resume",
            out=tmp_path / f"without/{k}",
        )
    made = [json.loads((tmp_path / f"without/{k}/waypoint.json").read_text()) for k in range(2)]
    assert made[0]["training"] != made[1]["training"] and "same_as" not in made[1]
    settings = {"draw_scheme": "independent", "train_draws": 1, "flip": False, "keep_halves": False, "dtype": "float32"}
    own = {"features": settings, "gradients": {"kind": "exact", "precision": "float32"}}
    own["projection"] = {"kind": "gaussian", "dim": 4}
    common = {"checkpoint": tmp_path / "without/0", "name": "full/0", "out": tmp_path / "phi.zarr"}
    with pytest.raises(SystemExit):
        run_script("featurize", spec={"seed": 0, **own}, data=second.store_path.store.root, **common)
    assert "was trained on other images" in capsys.readouterr().err
    run_script("featurize", spec={"seed": 0, **own}, data=first.store_path.store.root, **common)


def test_a_scheduler_that_clips_is_refused_for_latents(tmp_path, inputs, tiny_model, capsys):
    unet = {**tiny_model["unet"], "sample_size": 4, "in_channels": 2, "out_channels": 2}
    spec = {"seed": 0, "model": {"unet": unet, "scheduler": {}}, "training": {"flip": False}}
    places = {"resume": tmp_path / "resume", "out": tmp_path / "model"}
    data = encoded(tmp_path, inputs, text=None).store_path.store.root
    with pytest.raises(SystemExit):
        run_script("train", spec=spec, data=data, name="full/0", **places)
    assert "model.unet has a scheduler with clip_sample, which would clip latents" in capsys.readouterr().err


def test_captions_that_are_cut_get_a_warning_with_their_number_and_images(tmp_path, inputs, capsys):
    encoded(tmp_path, inputs, vae=None, max_length=4)  # with the marks of beginning and end each has five tokens
    told = capsys.readouterr().err
    assert "70 of 70 captions are longer than the 4 tokens" in told and "3, 4, 5" in told and "and 60 more" in told
    encoded(tmp_path, inputs, vae=None, max_length=6)
    assert "longer than" not in capsys.readouterr().err


def test_what_an_earlier_version_encoded_is_taken_over(tmp_path, inputs, monkeypatch):
    """Of the same images by the same encoders: models were trained on exactly these numbers."""
    spec = {"seed": 0, "vae": {"path": "v", "latent": "mean"}, "text_encoder": {"path": "t", "max_length": 6}}
    out = tmp_path / "train.zarr"
    run_script("encode_data", spec=spec, **inputs, out=out)
    before = {name: read(open_store(out)[name]).copy() for name in ("latent", "text_embedding", "null_embedding")}
    monkeypatch.setattr("waypoint.store.networks.vae.load_vae", lambda *_: pytest.fail("encoded again"))
    run_script("encode_data", spec=spec, **inputs, out=out)
    again = open_store(out)
    assert all(np.array_equal(read(again[name]), values) for name, values in before.items())
