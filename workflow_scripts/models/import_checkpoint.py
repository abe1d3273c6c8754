"""Take an existing diffusers model into the store, checked by value against the experiment's model."""

from pathlib import Path

from waypoint.store.artifacts.atomic import atomic_directory
from waypoint.store.artifacts.checksums import write_marker
from waypoint.store.artifacts.fingerprint import weights_hash
from waypoint.store.artifacts.source_files import source_record
from waypoint.store.data.training_set import require_fit
from waypoint.store.networks import checkpoints
from waypoint.store.networks.given import wanted
from waypoint.store.networks.hub import fetch
from waypoint.store.networks.text_encoder import TextEncoder
from waypoint.store.networks.vae import load_vae
from waypoint.workflow.jobs.job import run


def main(job):
    path, reference = job.settings["checkpoint"]["path"], job.settings["checkpoint"]["reference"]
    changed = {key: job.settings["checkpoint"].get(key) for key in ("sampler", "timestep_spacing")}
    denoiser = checkpoints.load(path, **changed)
    if job.args.data:
        require_fit(denoiser, job.open(job.args.data), f"checkpoint {path}")
    else:
        checkpoints.require_encoders(denoiser, f"checkpoint {path}", *encoders(job))
    if (same := wanted(job.settings["model"], reference if reference != path else None, changed)) is not None:
        checkpoints.require_same(denoiser, same[0], path, same[1])
    with atomic_directory(job.args.out) as tmp:
        checkpoints.save(denoiser.unet, denoiser.scheduler, tmp)
        # a hub id's folder carries its revision in its name
        source = source_record([path]) if Path(path).exists() else None
        made = {"name": job.args.name, "imported_from": str(fetch(path, parts=checkpoints.PARTS)), "source": source}
        write_marker(tmp, job.provenance(**made, weights=weights_hash(tmp)))


def encoders(job):
    """Width of embedded captions and channels of latents, of the experiment's encoders; None where there is none."""
    width = channels = None
    if job.args.text:
        width = TextEncoder(job.folder(job.args.text), job.settings["text_encoder"]["max_length"]).width
    if job.args.vae:
        config = load_vae(job.folder(job.args.vae)).vae.config
        channels = config.latent_channels  # pyright: ignore[reportAttributeAccessIssue]
    return width, channels


if __name__ == "__main__":
    run(main, ["data?", "vae?", "text?", "name", "out"])
