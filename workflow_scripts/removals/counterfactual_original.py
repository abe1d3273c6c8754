"""Images of p(·|x_t) by a target's generating model, and how far models of the full set take them away (Fig. 5)."""

import numpy as np

from waypoint.science.evaluation.frechet import frechet_distance
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.removals import Features, Restarts, full_models, images_of
from waypoint.workflow.plan.specs import require_agreement


def main(job):
    device = job.device()
    require_agreement(job.args.generator, job.spec)
    restarts, features = Restarts(job, checkpoints.load(job.args.generator, device)), Features(job, device)
    original, sample = features.of(restarts.batches())
    names, distances = job.spec["controls"]["full_models"], []
    for theta in full_models(job):
        found, _ = features.of(restarts.batches(theta))
        distances.append(frechet_distance(original, found))
        job.progress(len(distances), len(names), "models")
    made = {"target": job.args.target, "features": features.name, "train_images": images_of(job.args.generator)}
    made["weights"] = read_attributes(job.args.generator)["weights"]
    with create_store(job.args.out, lambda: job.provenance(**made)) as store:
        store.write("image", ["image"], np.arange(len(original)))
        store.write("feature", ["image", "feature"], original, "image")
        store.write("baseline", ["baseline"], np.array(names))
        store.write("fid_baseline", ["baseline"], np.array(distances), "baseline", names)
        store.write("sample", ["number", "channel", "y", "x"], sample)


if __name__ == "__main__":
    arguments = ["trajectory", "generator", "vae?", "models*", "classifier?", "weights?", "target", "out"]
    run(main, "counterfactual", arguments)
