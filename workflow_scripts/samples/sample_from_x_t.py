"""targets/{target}/samples.zarr: samples of p(·|x_t) by the generating model at several steps."""

import numpy as np

from waypoint.science.processes.ddpm import continuations
from waypoint.science.random_streams import torch_stream
from waypoint.store.zarr.writer import BROWSED_BYTES, create_store
from waypoint.workflow.jobs.decoding import decoder
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.target import Target

BATCH, POSITIONS = 250, 1 << 18  # limits of a batch: samples, and pixels or latent cells


def main(job):
    generator, settings = job.checkpoint(job.args.generator).load(job.device()), job.settings["samples"]
    target, decode = Target(job, generator, settings["steps"]), decoder(job, generator.device)
    batch = max(1, min(BATCH, POSITIONS // (generator.shape[1] * generator.shape[2])))
    shape = (len(target.steps), settings["number"])
    with create_store(job.args.out, lambda: job.provenance(target=job.args.target)) as store:
        store.write("step", ["step"], np.array(target.steps))
        dims = ["step", "number", "channel", "y", "x"]
        together = min(settings["number"], max(1, BROWSED_BYTES // (4 * target.image.numel())))
        chunks = (1, together, *target.image.shape)
        store.create("sample", dims, (*shape, *target.image.shape), chunks=chunks)
        if job.args.vae:
            latent_dims = [*dims[:2], "latent_channel", "latent_y", "latent_x"]
            store.create("latent", latent_dims, (*shape, *generator.shape), rows=1)
            for name, latents in (("x_t_image", target.x_t), ("x0_hat_image", target.x0_hat)):
                decoded = decode(latents).numpy()
                store.write(name, ["step", "channel", "y", "x"], decoded, "step", target.steps, BROWSED_BYTES)
        for s, t in enumerate(target.steps):
            for start in range(0, settings["number"], batch):
                numbers = range(start, min(start + batch, settings["number"]))
                streams = [torch_stream(job.settings["seed"], "samples", target.key, t, k) for k in numbers]
                steps = job.settings["sampling"]["steps"]
                images = continuations(target.sampling(generator), steps, target.x_t[s], t, streams, target.condition)
                window, label = (s, slice(numbers.start, numbers.stop)), f"step {t}, sample"
                store.put("sample", window, decode(images).numpy(), label, numbers)
                if job.args.vae:
                    store.put("latent", window, images.numpy(), label, numbers)
            job.progress(s + 1, len(target.steps), "steps")


if __name__ == "__main__":
    run(main, ["trajectory", "generator", "vae?", "target", "out"])
