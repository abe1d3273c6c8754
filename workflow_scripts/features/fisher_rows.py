"""Fisher rows of one checkpoint, mapped and projected as its train features: u_r = Pᵀ ∇_θ ⟨net_θ(x_t, t), v⟩ / √D."""

import numpy as np

from waypoint.science import fisher
from waypoint.science.gradients.batching import rows_in_memory
from waypoint.science.gradients.hooks import trainable
from waypoint.science.projection import require_room
from waypoint.store.data.training_set import require_own_images
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.fisher_examples import FisherExamples
from waypoint.workflow.jobs.gradients_from_spec import mapped_by, per_example_gradients, projection
from waypoint.workflow.jobs.job import run


def main(job):
    device, name = job.device(), job.args.name
    data, checkpoint = job.open(job.args.data), job.checkpoint(job.args.checkpoint)
    require_own_images(checkpoint, data, job.args.data)
    curvature = job.curvature(job.args.curvature, checkpoint)
    theta, count = checkpoint.load(device), job.settings["kernel"]["rows"]
    p = sum(q.numel() for q in trainable(theta.unet))
    grad = per_example_gradients(job.settings, name, theta.unet)
    P = projection(job.settings, name, theta.unet, curvature)
    if job.settings["projection"]["kind"] == "none":
        require_room(data["image"].shape[0], count, p)
    examples = FisherExamples(job.settings, data, theta, fisher.KERNEL, name, count)

    def attributes():
        return job.provenance(checkpoint=name, weights=checkpoint.weights, parameters=p, **mapped_by(curvature))

    with create_store(job.args.out, attributes) as store:
        store.write("row", ["row"], np.arange(count))
        store.create("u", ["row", "feature"], (count, P.d))
        step = rows_in_memory(p, device)
        for start in range(0, count, step):
            rows = range(start, min(start + step, count))
            u = fisher.fisher_rows(theta, P, [examples[r] for r in rows], grad)
            store.put("u", slice(start, rows.stop), u.cpu().numpy(), f"checkpoint {name}, row", rows)
            job.progress(rows.stop, count, "rows")


if __name__ == "__main__":
    run(main, ["data", "checkpoint", "curvature?", "name", "out"])
