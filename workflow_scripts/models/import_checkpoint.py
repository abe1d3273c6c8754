"""Import an existing diffusers model, or the base of adapters, into the store after checking it."""

from waypoint.science.networks.unet import require_null_class
from waypoint.store.artifacts.atomic import atomic_directory
from waypoint.store.artifacts.checksums import write_marker
from waypoint.store.artifacts.fingerprint import weights_hash
from waypoint.store.artifacts.source_files import source_record
from waypoint.store.data.training_set import require_fit
from waypoint.store.networks import checkpoints
from waypoint.store.networks.given import fit, wanted
from waypoint.store.networks.hub import fetch
from waypoint.store.networks.layouts import taken_from
from waypoint.store.networks.sizes import cells_of
from waypoint.store.networks.text_encoder import load_text_encoder
from waypoint.store.networks.vae import load_vae
from waypoint.store.zarr.reader import read
from waypoint.workflow.jobs.job import run


def main(job):
    section = job.settings["base" if "base" in job.settings else "checkpoint"]
    path, reference = section["path"], section.get("reference")
    options = load_options(job)
    denoiser, notes = checkpoints.take(path, **options)
    expected = wanted(job.settings["model"], reference if reference != path else None, options)
    if job.args.data:
        data = job.open(job.args.data)
        require_fit(denoiser, data, f"checkpoint {path}")
        guided = job.settings["checkpoint"].get("null_class") and denoiser.conditioned_by == "class_labels"
        if guided and "label" in data:
            require_null_class(denoiser.unet, read(data["label"]), f"checkpoint {path}")
    else:
        checkpoints.require_encoders(denoiser, f"checkpoint {path}", *encoder_sizes(job))
    notes += fit(denoiser, expected, path, options)
    for note in notes:
        print(f"checkpoint {path}: {note}")
    with atomic_directory(job.args.out) as tmp:
        checkpoints.save(denoiser.unet, denoiser.scheduler, tmp)
        # the folder of a hub id has the revision in its name
        source = source_record(taken_from(path, options["weights"]))
        attributes = {
            "name": job.args.name,
            "imported_from": str(fetch(path, parts=checkpoints.PARTS)),
            "source": source,
        }
        extra = {"taken": notes} if notes else {}
        write_marker(tmp, job.provenance(**attributes, **extra, weights=weights_hash(tmp)))


def load_options(job):
    """Return how to load the model: keyword arguments of ``checkpoints.load``."""
    settings = job.settings["checkpoint"]
    options = {key: settings.get(key) for key in ("sampler", "timestep_spacing", "weights")}
    options |= {"model": job.settings["model"], "latent": bool(job.args.vae), "cells": settings.get("size")}
    if job.args.data:
        options["latent"] = "latent" in job.open(job.args.data)
        options["cells"] = (
            settings.get("size") and job.open(job.args.data)["latent" if options["latent"] else "image"].shape[-1]
        )
    elif options["cells"] and job.args.vae:
        options["cells"] = cells_of(settings["size"], load_vae(job.folder(job.args.vae)).vae.config)
    return options


def encoder_sizes(job):
    """Return the width of embedded captions and the channels of latents; None without such an encoder."""
    width = channels = None
    if job.args.text:
        width = load_text_encoder(job.folder(job.args.text), job.settings["text_encoder"]["max_length"]).width
    if job.args.vae:
        config = load_vae(job.folder(job.args.vae)).vae.config
        channels = config.latent_channels  # pyright: ignore[reportAttributeAccessIssue]
    return width, channels


if __name__ == "__main__":
    run(main, ["data?", "vae?", "text?", "name", "out"])
