"""Train features of one checkpoint: φ_i = Pᵀ∇L_i(θ_m) for all images, or for one shard of them.

In one basis, or in several with the same draws.
"""

import contextlib
from functools import partial

import numpy as np
import torch

from waypoint.errors import WaypointError
from waypoint.science.algorithm1 import train_features
from waypoint.science.draws import train_draws
from waypoint.science.gradients.batching import rows_in_memory
from waypoint.science.gradients.examples import EVERY_DRAW, train_example, whole_and_halves
from waypoint.science.gradients.hooks import trainable
from waypoint.science.projection import SideBySide, require_room
from waypoint.store.data.training_set import conditions_of, inputs_of
from waypoint.store.zarr import quantised
from waypoint.store.zarr.reader import read
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.basis_pass import curvatures_of, device_of, projections, run_together
from waypoint.workflow.jobs.gradients_from_spec import differentiated, mapped_by, per_example_gradients


def main(jobs):
    device = device_of(jobs)
    data, *_ = [job.open(job.args.data) for job in jobs]
    checkpoint, *_ = [job.checkpoint(job.args.checkpoint, data=job.args.data) for job in jobs]
    job = jobs[0]  # bases that share a pass have the same draws, and agree in all else that is read from it
    theta = checkpoint.load(device)
    p = sum(q.numel() for q in trainable(theta.unet))
    grad = per_example_gradients(job.settings, job.args.name, theta.unet)
    curvatures = curvatures_of(jobs, checkpoint)
    P = SideBySide(projections(jobs, job.args.name, theta.unet, curvatures))

    n = data["image"].shape[0]
    shard, shards = (int(part) for part in (job.args.shard or "0/1").split("/"))
    unprojected = job.settings["projection"]["kind"] == "none"
    if unprojected:
        require_room(n * (3 if job.settings["features"]["keep_halves"] else 1), 0, p)
    rows = np.arange(shard * n // shards, (shard + 1) * n // shards)
    if not len(rows):
        raise WaypointError(f"features.shards: {shards} is more than the {n} training images")
    inputs = torch.from_numpy(read(inputs_of(data), slice(rows[0], rows[-1] + 1)))
    conditions = conditions_of(data, theta, rows)

    def example(r, draws=EVERY_DRAW):
        settings = job.settings["features"]
        key = (job.settings["seed"], job.args.name, int(rows[r]))
        t, epsilon = train_draws(*key, settings["draw_scheme"], settings["train_draws"], theta.T, inputs.shape[1:])
        condition = None if conditions is None else conditions[[r]]
        return train_example(inputs[r], t[draws], epsilon[draws], condition, settings["flip"]).to(device)

    loss = differentiated(job.settings, "train")

    def project(examples):
        return train_features(theta, P, examples, grad, loss)

    halves, dtype = job.settings["features"]["keep_halves"], job.settings["features"]["dtype"]

    def attributes(job, curvature):
        return job.provenance(
            checkpoint=job.args.name, weights=checkpoint.weights, parameters=p, **mapped_by(curvature)
        )

    with contextlib.ExitStack() as stack:
        stores = [
            stack.enter_context(create_store(job.args.out, partial(attributes, job, curvature)))
            for job, curvature in zip(jobs, curvatures)
        ]
        for store, projection in zip(stores, P.maps):
            store.write("train", ["train"], rows)
            quantised.create(store, "phi", ["train", "feature"], (len(rows), projection.d), dtype)
            if halves:
                quantised.create(store, "phi_half", ["train", "half", "feature"], (len(rows), 2, projection.d), dtype)
        step = max(1, rows_in_memory(p, device) // (2 if halves else 1) // (len(jobs) if unprojected else 1))
        for start in range(0, len(rows), step):
            batch = range(start, min(start + step, len(rows)))
            window, label = slice(start, batch.stop), f"checkpoint {job.args.name}, image"
            if halves:
                phi, phi_half = whole_and_halves(project, example, batch, job.settings["features"]["train_draws"])
                for store, part in zip(stores, P.apart(phi_half)):
                    quantised.put(store, "phi_half", window, part.cpu().numpy(), label, rows[window])
            else:
                phi = project([example(r) for r in batch])
            for store, part in zip(stores, P.apart(phi)):
                quantised.put(store, "phi", window, part.cpu().numpy(), label, rows[window])
            job.progress(batch.stop, len(rows), "images")


if __name__ == "__main__":
    run_together(main, ["data", "checkpoint", "curvature*?", "name", "shard?", "out*"])
