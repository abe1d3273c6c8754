"""encoders/vae/: an AutoencoderKL trained on the images; resumable."""

import contextlib
import os
import shutil
from pathlib import Path

import torch

from waypoint.errors import WaypointError
from waypoint.patches.lean_diffusers import AutoencoderKL
from waypoint.science.autoencoder import Autoencoder, AutoencoderTrainer, reconstruction_rmse, standardise
from waypoint.science.random_streams import derive
from waypoint.store.artifacts.atomic import atomic_directory
from waypoint.store.artifacts.checksums import write_marker
from waypoint.store.artifacts.fingerprint import weights_hash
from waypoint.store.networks.vae import save_vae
from waypoint.store.zarr.reader import read
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.resuming import identity_of, run_epochs, sole_owner, write_losses


def main(job):
    device, data = job.device(), job.open(job.args.images)
    images = torch.from_numpy(read(data["image"]))
    recipe, seed, sha256 = job.settings["vae"]["train"], job.settings["seed"], data.attrs["sha256"]
    vae = build(recipe["autoencoder"], tuple(images.shape[1:]), seed).to(device)
    folder, identity = Path(job.args.resume, "vae"), identity_of(job.spec, sha256)
    with sole_owner(folder):
        trainer = AutoencoderTrainer(vae.train(), images, recipe, seed)
        run_epochs(job, trainer, folder, identity, "vae")
        vae = trainer.final_weights().eval()
        standardise(vae, images)
        rmse = reconstruction_rmse(vae, images)
        with atomic_directory(job.args.out) as tmp:
            save_vae(vae, tmp)
            write_losses(tmp, trainer.losses)
            attributes = {
                "images": len(images),
                "data_sha256": sha256,
                "training": identity,
                "weights": weights_hash(tmp),
            }
            attributes |= {"reconstruction_rmse": rmse, "scaling_factor": vae.config["scaling_factor"]}
            write_marker(tmp, job.provenance(**attributes))
        shutil.rmtree(folder)
    with contextlib.suppress(OSError):  # others may be training
        os.rmdir(job.args.resume)
    job.say(f"vae: reconstructs images in [-1, 1] with a root mean squared error of {rmse:.4f}")


def build(settings, shape, seed):
    """Build a VAE for images of ``shape`` (C, H, W) from the spec's section ``autoencoder``.

    Raises:
        WaypointError: diffusers refuses the configuration, or it does not fit the images.
    """
    channels, height, width = shape
    required = {"in_channels": channels, "out_channels": channels, "sample_size": max(height, width)}
    for key, value in required.items():
        if settings.get(key, value) != value:
            raise WaypointError(f"vae.train.autoencoder.{key}: {settings[key]}, but the data has {value}; leave it out")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "initial weights", "vae"))
        try:
            vae = AutoencoderKL(**{**required, **settings})
        except (TypeError, ValueError, RuntimeError) as error:
            raise WaypointError(f"vae.train.autoencoder: {error}") from error
    Autoencoder(vae).latent_shape(shape)
    return vae


if __name__ == "__main__":
    run(main, ["images", "resume", "out"])
