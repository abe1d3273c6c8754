"""Images of p(·|x_t) by a target's generating model, and their distance from other full-set models' (Fig. 5)."""

import numpy as np

from waypoint.science.evaluation.frechet import frechet_distance
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.removals import Features, Restarts, full_models, images_of


def main(job):
    device = job.device()
    generator = job.checkpoint(job.args.generator)
    restarts, features = Restarts(job, generator.load(device)), Features(job, device)
    original, sample = features.of(restarts.batches())
    names, distances = job.settings["controls"]["full_models"], []
    for theta in full_models(job):
        other_features, _ = features.of(restarts.batches(theta))
        distances.append(frechet_distance(original, other_features))
        job.progress(len(distances), len(names), "models")
    attributes = {"target": job.args.target, "features": features.name, "train_images": images_of(job)}
    attributes["weights"] = generator.weights
    with create_store(job.args.out, lambda: job.provenance(**attributes)) as store:
        store.write("image", ["image"], np.arange(len(original)))
        store.write("feature", ["image", "feature"], original, "image")
        store.write("baseline", ["baseline"], np.array(names))
        store.write("fid_baseline", ["baseline"], np.array(distances), "baseline", names)
        store.write("sample", ["number", "channel", "y", "x"], sample)


if __name__ == "__main__":
    arguments = ["trajectory", "generator", "vae?", "models*", "classifier?", "weights?", "target", "out"]
    run(main, arguments)
