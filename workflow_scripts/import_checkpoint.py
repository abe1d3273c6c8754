"""Take an existing diffusers model into the store, checked by value against the experiment's model."""

import json
from pathlib import Path

from waypoint.store import models
from waypoint.store.provenance import MARKER
from waypoint.store.raw import source_record
from waypoint.store.training_set import require_fit
from waypoint.store.whole import whole_directory
from waypoint.workflow.script import run


def main(job):
    data = job.open(job.args.data)
    path, reference = job.spec["checkpoint"]["path"], job.spec["checkpoint"]["reference"]
    changed = {key: job.spec["checkpoint"].get(key) for key in ("sampler", "timestep_spacing")}
    denoiser = models.load(path, **changed)
    require_fit(denoiser, data, f"checkpoint {path}")
    if job.spec["model"] is not None:
        models.require_same(denoiser, models.build(job.spec["model"], 0, "reference"), path, "config: model")
    elif reference != path:
        models.require_same(denoiser, models.load(reference, **changed), path, reference)
    with whole_directory(job.args.out) as tmp:
        models.save(denoiser.unet, denoiser.scheduler, tmp)
        # a hub id's folder carries its revision in its name
        source = source_record([path]) if Path(path).exists() else None
        made = {"name": job.args.name, "imported_from": str(models.fetch(path)), "source": source}
        made = job.provenance(**made, weights=models.weights_hash(tmp))
        Path(tmp, MARKER).write_text(json.dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    run(main, "train", ["data", "name", "out"])
