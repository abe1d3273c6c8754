"""How far models retrained without a method's top images move a target's samples of p(·|x_t) (Fig. 5)."""

import numpy as np
import torch

from waypoint.errors import WaypointError
from waypoint.science.evaluation.frechet import frechet_distance
from waypoint.store.zarr.reader import read
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.removals import SAMPLES, Features, Restarts, models_without, removals, removed


def main(job):
    device = job.device()
    generator = job.checkpoint(job.args.generator)
    restarts, features = Restarts(job, generator.load(device)), Features(job, device)
    original = originals(job, features)
    counts = removed(job, "counterfactual")
    distances = np.empty((len(counts), removals(job)))
    samples = np.empty((*distances.shape, min(SAMPLES, len(original)), *restarts.target.image.shape), np.float32)
    for done, (place, theta) in enumerate(models_without(job, "counterfactual"), 1):
        features_of_retrained, samples[place] = features.of(restarts.batches(theta))
        distances[place] = frechet_distance(original, features_of_retrained)
        job.progress(done, distances.size, "models")
    attributes = {"method": job.args.method, "target": job.args.target, "features": features.name}
    with create_store(job.args.out, lambda: job.provenance(**attributes)) as store:
        store.write("n_remove", ["n_remove"], np.array(job.settings["counterfactual"]["n_remove"]))
        store.write("removal", ["removal"], np.arange(removals(job)))
        store.write("removed", ["n_remove"], counts)
        store.write("fid", ["n_remove", "removal"], distances, "n_remove", counts)
        dims = ["n_remove", "removal", "number", "channel", "y", "x"]
        store.write("sample", dims, samples, "n_remove", counts)


def originals(job, features):
    """Read the features of the original images, from the same model and feature network as this job's.

    Raises:
        WaypointError: they come from another model or another network.
    """
    store = job.open(job.args.original, generator=job.args.generator)
    original, recomputed = read(store["feature"]), features(torch.from_numpy(read(store["sample"])))
    if not np.allclose(recomputed, original[: len(recomputed)], rtol=0.01, atol=0.01 * np.abs(original).max()):
        raise WaypointError(f"{job.args.original} holds features of another network; delete it and rerun")
    return original


if __name__ == "__main__":
    arguments = ["trajectory", "generator", "vae?", "models*", "original", "scores?", "classifier?", "weights?"]
    run(main, [*arguments, "method", "target", "out"])
