"""Take an existing diffusers model, the base of adapters too, into the store, after comparing it."""

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
    given = job.settings["base" if "base" in job.settings else "checkpoint"]
    path, reference = given["path"], given.get("reference")
    changed = taking(job)
    denoiser, said = checkpoints.take(path, **changed)
    same = wanted(job.settings["model"], reference if reference != path else None, changed)
    if job.args.data:
        data = job.open(job.args.data)
        require_fit(denoiser, data, f"checkpoint {path}")
        guided = job.settings["checkpoint"].get("null_class") and denoiser.conditioned_by == "class_labels"
        if guided and "label" in data:
            require_null_class(denoiser.unet, read(data["label"]), f"checkpoint {path}")
    else:
        checkpoints.require_encoders(denoiser, f"checkpoint {path}", *encoders(job))
    said += fit(denoiser, same, path, changed)
    for words in said:
        print(f"checkpoint {path}: {words}")
    with atomic_directory(job.args.out) as tmp:
        checkpoints.save(denoiser.unet, denoiser.scheduler, tmp)
        # a hub id's folder carries its revision in its name
        source = source_record(taken_from(path, changed["weights"]))
        attributes = {
            "name": job.args.name,
            "imported_from": str(fetch(path, parts=checkpoints.PARTS)),
            "source": source,
        }
        more = {"taken": said} if said else {}
        write_marker(tmp, job.provenance(**attributes, **more, weights=weights_hash(tmp)))


def taking(job):
    """How the model is taken: keyword arguments of ``checkpoints.load``."""
    settings = job.settings["checkpoint"]
    changed = {key: settings.get(key) for key in ("sampler", "timestep_spacing", "weights")}
    changed |= {"model": job.settings["model"], "latent": bool(job.args.vae), "cells": settings.get("size")}
    if job.args.data:
        changed["latent"] = "latent" in job.open(job.args.data)
        changed["cells"] = (
            settings.get("size") and job.open(job.args.data)["latent" if changed["latent"] else "image"].shape[-1]
        )
    elif changed["cells"] and job.args.vae:
        changed["cells"] = cells_of(settings["size"], load_vae(job.folder(job.args.vae)).vae.config)
    return changed


def encoders(job):
    """Width of embedded captions and channels of latents, of the experiment's encoders; None where there is none."""
    width = channels = None
    if job.args.text:
        width = load_text_encoder(job.folder(job.args.text), job.settings["text_encoder"]["max_length"]).width
    if job.args.vae:
        config = load_vae(job.folder(job.args.vae)).vae.config
        channels = config.latent_channels  # pyright: ignore[reportAttributeAccessIssue]
    return width, channels


if __name__ == "__main__":
    run(main, ["data?", "vae?", "text?", "name", "out"])
