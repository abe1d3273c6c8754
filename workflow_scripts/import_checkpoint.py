"""Take an existing diffusers model into the store, checked by value against the experiment's model."""

from pathlib import Path

from waypoint.store import autoencoders, models
from waypoint.store.intact import write_marker
from waypoint.store.raw import source_record
from waypoint.store.text_encoders import TextEncoder
from waypoint.store.training_set import require_fit
from waypoint.store.whole import whole_directory
from waypoint.workflow.script import run
from waypoint.workflow.specs import require_agreement


def main(job):
    path, reference = job.spec["checkpoint"]["path"], job.spec["checkpoint"].get("reference")
    changed = {key: job.spec["checkpoint"].get(key) for key in ("sampler", "timestep_spacing")}
    denoiser = models.load(path, **changed)
    if job.args.data:
        require_fit(denoiser, job.open(job.args.data), f"checkpoint {path}")
    else:
        models.require_encoders(denoiser, f"checkpoint {path}", *encoders(job))
    if job.spec["model"] is not None:
        models.require_same(denoiser, models.build(job.spec["model"], 0, "reference"), path, "config: model")
    elif reference not in (None, path):
        models.require_same(denoiser, models.load(reference, **changed), path, reference)
    with whole_directory(job.args.out) as tmp:
        models.save(denoiser.unet, denoiser.scheduler, tmp)
        # a hub id's folder carries its revision in its name
        source = source_record([path]) if Path(path).exists() else None
        made = {"name": job.args.name, "imported_from": str(models.fetch(path, parts=models.PARTS)), "source": source}
        write_marker(tmp, job.provenance(**made, weights=models.weights_hash(tmp)))


def encoders(job):
    """Width of embedded captions and channels of latents, of the experiment's encoders; None where there is none."""
    width = channels = None
    if job.args.text:
        require_agreement(job.args.text, job.spec)
        width = TextEncoder(job.args.text, job.spec["text_encoder"]["max_length"]).width
    if job.args.vae:
        require_agreement(job.args.vae, job.spec)
        channels = autoencoders.load(job.args.vae).vae.config.latent_channels
    return width, channels


if __name__ == "__main__":
    run(main, "train", ["data?", "vae?", "text?", "name", "out"])
