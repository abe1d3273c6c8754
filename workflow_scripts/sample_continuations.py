"""evaluation/samples/{target}.zarr: samples of p(·|x_t) by the generating model at several steps."""

import numpy as np

from waypoint.science.diffusion import continuations
from waypoint.science.streams import torch_stream
from waypoint.store import models
from waypoint.store.arrays import create_store
from waypoint.workflow.script import run
from waypoint.workflow.specs import require_agreement
from waypoint.workflow.target import Target

BATCH = 250  # samples made at once


def main(job):
    require_agreement(job.args.generator, job.spec)
    generator, own = models.load(job.args.generator, job.device()), job.spec["samples"]
    target = Target(job, generator, own["steps"])
    shape = (len(target.steps), own["number"], *generator.shape)
    with create_store(job.args.out, lambda: job.provenance(target=job.args.target)) as store:
        store.write("step", ["step"], np.array(target.steps))
        store.create("sample", ["step", "number", "channel", "y", "x"], shape, rows=1)
        for s, t in enumerate(target.steps):
            for start in range(0, own["number"], BATCH):
                numbers = range(start, min(start + BATCH, own["number"]))
                streams = [torch_stream(job.spec["seed"], "samples", target.key, t, k) for k in numbers]
                steps = job.spec["sampling"]["steps"]
                images = continuations(generator, steps, target.x_t[s], t, streams, target.label)
                where = (s, slice(numbers.start, numbers.stop))
                store.put("sample", where, images.numpy(), f"step {t}, sample", numbers)
            job.progress(s + 1, len(target.steps), "steps")


if __name__ == "__main__":
    run(main, "samples", ["trajectory", "generator", "target", "out"])
