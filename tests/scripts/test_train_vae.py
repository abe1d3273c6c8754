"""Training a VAE: an ordinary diffusers folder, the same whether or not it was interrupted."""

import fcntl
import json
import signal

import diffusers
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from support import AUTOENCODER, run_script, staged, store
from test_killed import killed, same

from waypoint.science.autoencoder import Autoencoder
from waypoint.store.artifacts.fingerprint import weights_hash
from waypoint.store.zarr.reader import open_store

RECIPE = {"autoencoder": AUTOENCODER, "epochs": 3, "batch_size": 15, "learning_rate": 3e-3, "kl_weight": 1e-6}
DEEP = {key: AUTOENCODER[key][:1] * 5 for key in ("block_out_channels", "down_block_types", "up_block_types")}


def stored(path, shape):
    """A store of random images."""
    image = np.tanh(np.random.default_rng(0).standard_normal(shape)).astype(np.float32)
    return store(path, {"sha256": str(shape)}, image=(["train", "channel", "y", "x"], image))


@pytest.fixture
def images(tmp_path):
    return stored(tmp_path / "images.zarr", (30, 1, 8, 8))


def arguments(tmp_path, images, place="a", **changes):
    spec = {"seed": 0, "data": {"source": "digits"}, "vae": {"train": {**RECIPE, **changes}}}
    return {"spec": spec, "images": images, "resume": tmp_path / f"resume-{place}", "out": tmp_path / place}


def weights(folder):
    return load_file(folder / "diffusion_pytorch_model.safetensors")


def log_of_failure(tmp_path, **given):
    with pytest.raises(SystemExit):
        run_script("train_vae", **given, log=tmp_path / "log")
    assert not given["out"].exists()
    return (tmp_path / "log").read_text()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_folder_is_an_ordinary_diffusers_vae(tmp_path, channels):
    images = stored(tmp_path / "images.zarr", (30, channels, 8, 8))
    given = arguments(tmp_path, images)
    run_script("train_vae", **given)
    vae, info = diffusers.AutoencoderKL.from_pretrained(given["out"], output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert (vae.config.in_channels, vae.config.out_channels, vae.config.sample_size) == (channels, channels, 8)
    image = torch.from_numpy(open_store(images)["image"][:])
    with torch.no_grad():
        z = vae.encode(image).latent_dist.mode()
        made = vae.decode(z).sample.clamp(-1, 1)
    latents = z * vae.config.scaling_factor
    assert latents.std(correction=0).item() == pytest.approx(1, abs=1e-3)
    assert torch.allclose(Autoencoder(vae).encode(image), latents, atol=1e-5)
    marker = json.loads((given["out"] / "waypoint.json").read_text())
    assert marker["reconstruction_rmse"] == pytest.approx((made - image).pow(2).mean().sqrt().item(), rel=1e-4)
    assert marker["scaling_factor"] == vae.config.scaling_factor
    assert (marker["stage"], marker["images"]) == ("train_vae", 30)
    assert marker["spec"] == staged(given["spec"], "train_vae")
    assert marker["weights"] == weights_hash(given["out"]) != weights_hash(tmp_path / "resume-a")
    assert len(pd.read_csv(given["out"] / "loss.csv")) == 3
    assert not given["resume"].exists()


@pytest.mark.parametrize("moment, count", [("epoch", 1), ("epoch", 2), ("epoch", 3), ("save", 2)])
def test_training_after_a_kill_equals_an_undisturbed_one(tmp_path, images, moment, count):
    disturbed, undisturbed = arguments(tmp_path, images), arguments(tmp_path, images, "b")
    assert killed(moment, count, "train_vae", **disturbed) == -signal.SIGKILL
    assert not disturbed["out"].exists()
    run_script("train_vae", **disturbed, log=tmp_path / "log")
    assert (f"vae: resumes after epoch {count - 1}" in (tmp_path / "log").read_text()) == (count > 1)
    run_script("train_vae", **undisturbed)
    assert same(weights(disturbed["out"]), weights(undisturbed["out"]))
    for name in ("config.json", "loss.csv"):
        assert (disturbed["out"] / name).read_text() == (undisturbed["out"] / name).read_text()
    assert not disturbed["resume"].exists()


@pytest.mark.parametrize("what", ["settings", "images"])
def test_nothing_begun_with_others_is_used(tmp_path, images, what):
    assert killed("epoch", 3, "train_vae", **arguments(tmp_path, images)) == -signal.SIGKILL
    changes = {"kl_weight": 1.0} if what == "settings" else {}
    other = images if what == "settings" else stored(tmp_path / "other.zarr", (20, 1, 8, 8))
    run_script("train_vae", **arguments(tmp_path, other, **changes), log=tmp_path / "log")
    assert "resumes" not in (tmp_path / "log").read_text()


def test_a_second_process_does_not_train_the_same_vae(tmp_path, images):
    given = arguments(tmp_path, images)
    (given["resume"] / "vae").mkdir(parents=True)
    with open(given["resume"] / "vae/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "is locked: another process is training this model" in log_of_failure(tmp_path, **given)


def test_other_trainings_keep_their_state(tmp_path, images):
    given = arguments(tmp_path, images)
    (given["resume"] / "full-0").mkdir(parents=True)
    run_script("train_vae", **given)
    assert (given["resume"] / "full-0").exists()


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"in_channels": 3}, "vae.train.autoencoder.in_channels: 3, but the data has 1; leave it out"),
        ({"sample_size": 16}, "vae.train.autoencoder.sample_size: 16, but the data has 8; leave it out"),
        ({"norm_num_groups": 3}, "vae.train.autoencoder: "),
        (DEEP, "16 × 16 pixels, which does not divide images of 8 × 8; set data.size to a multiple of 16"),
    ],
)
def test_an_autoencoder_that_does_not_fit_is_refused(tmp_path, images, changes, expected):
    given = arguments(tmp_path, images, autoencoder={**AUTOENCODER, **changes})
    assert expected in log_of_failure(tmp_path, **given)
