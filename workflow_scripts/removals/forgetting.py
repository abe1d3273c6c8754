"""A target's image from the same seed by models retrained without a method's top images (§5.5, Fig. 7)."""

import numpy as np
import torch

from waypoint.science.evaluation.pixel_distance import l2
from waypoint.science.processes import ddim
from waypoint.science.processes.ddpm import generate
from waypoint.science.processes.guidance import guided
from waypoint.science.random_streams import torch_stream
from waypoint.store.zarr.reader import read
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.decoding import decoder
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.removals import full_models, images_of, models_without, removals, removed
from waypoint.workflow.jobs.target import conditions


def main(job):
    trajectory = job.open(job.args.trajectory, generator=job.args.generator)
    # a given image's reconstruction by the generating model: errors of the inversion are no forgetting
    original = read(trajectory["again" if "again" in trajectory else "image"])
    decode = decoder(job, job.device())
    if job.args.method == "none":
        counts, models = np.array([0]), (((0, k), theta) for k, theta in enumerate(full_models(job)))
        shape = (1, len(job.args.models))
    else:
        counts, models = removed(job, "forgetting"), models_without(job, "forgetting")
        shape = (len(counts), removals(job))
    images = np.empty((*shape, *original.shape), np.float32)
    for done, (place, theta) in enumerate(models, 1):
        images[place] = decode(regenerate(job, theta, trajectory)[None])[0].numpy()
        job.progress(done, len(job.args.models), "models")
    attributes = {"method": job.args.method, "target": job.args.target}
    attributes["train_images"] = images_of(job)
    with create_store(job.args.out, lambda: job.provenance(**attributes)) as store:
        store.write("n_remove", ["n_remove"], np.array(job.settings["forgetting"].get("n_remove", [0])))
        store.write("removal", ["removal"], np.arange(shape[1]))
        store.write("removed", ["n_remove"], counts)
        store.write("original", ["channel", "y", "x"], original)
        store.write("image", ["n_remove", "removal", "channel", "y", "x"], images, "n_remove", counts)
        store.write("l2", ["n_remove", "removal"], l2(images, original), "n_remove", counts)


def regenerate(job, theta, trajectory):
    """Generate a model's image (C, H, W) from the target's x_T, noises and condition; by DDIM for a given image."""
    target, sampling = job.settings["target"], job.settings["sampling"]
    condition, null = conditions(trajectory, theta, target)
    sampler = guided(theta, null, sampling.get("guidance", 1))
    if "seed" not in target:
        return ddim.generate(sampler, sampling["steps"], torch.from_numpy(read(trajectory["x_t"], 0)), condition)
    noise = torch_stream(job.settings["seed"], "trajectory", target["seed"])
    return generate(sampler, sampling["steps"], noise, condition)[-1]


if __name__ == "__main__":
    run(main, ["trajectory", "generator", "vae?", "models*", "scores?", "method", "target", "out"])
