"""Fisher rows of one checkpoint, projected as its train features are: u_r = Pᵀ ∇_θ ⟨net_θ(x_t, t), v⟩ / √D."""

import numpy as np
import torch

from waypoint.science import fisher
from waypoint.science.gradients.batching import rows_in_memory
from waypoint.science.gradients.examples import Example
from waypoint.science.gradients.hooks import trainable
from waypoint.store.data.training_set import conditions_of, inputs_of, require_own_images
from waypoint.store.zarr.reader import Rows
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.gradients_from_spec import per_example_gradients, projection
from waypoint.workflow.jobs.job import run


def main(job):
    device = job.device()
    data, checkpoint = job.open(job.args.data), job.checkpoint(job.args.checkpoint)
    require_own_images(checkpoint, data, job.args.data)
    theta = checkpoint.load(device)
    p = sum(q.numel() for q in trainable(theta.unet))
    grad, P = per_example_gradients(job.settings, job.args.name, theta.unet), projection(job.settings, job.args.name)

    count, n = job.settings["kernel"]["rows"], data["image"].shape[0]
    key = (job.settings["seed"], fisher.KERNEL, job.args.name)
    # of a model trained on flips the flip of every image is one image more: i + n
    seen = fisher.row_images(*key, count, 2 * n if job.settings["data"]["flip"] else n)
    images, steps = seen % n, torch.from_numpy(fisher.row_steps(*key, count, theta.T))
    inputs, conditions = Rows(inputs_of(data), images), conditions_of(data, theta, images)

    def example(r):
        x0 = torch.from_numpy(inputs[[r]])
        x0 = x0.flip(-1) if seen[r] >= n else x0
        epsilon, v = (noise[None].to(device) for noise in fisher.row_noise(*key, r, x0.shape[1:]))
        condition = None if conditions is None else conditions[[r]].to(device)
        return Example(x0.to(device), steps[[r]].to(device), epsilon, condition, v=v)

    def attributes():
        return job.provenance(checkpoint=job.args.name, weights=checkpoint.weights, parameters=p)

    with create_store(job.args.out, attributes) as store:
        store.write("row", ["row"], np.arange(count))
        store.create("u", ["row", "feature"], (count, P.d))
        step = rows_in_memory(p, device)
        for start in range(0, count, step):
            rows = range(start, min(start + step, count))
            u = fisher.fisher_rows(theta, P, [example(r) for r in rows], grad)
            store.put("u", slice(start, rows.stop), u.cpu().numpy(), f"checkpoint {job.args.name}, row", rows)
            job.progress(rows.stop, count, "rows")


if __name__ == "__main__":
    run(main, ["data", "checkpoint", "name", "out"])
