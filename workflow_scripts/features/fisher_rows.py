"""Fisher rows of one checkpoint, mapped and projected as its train features: u_r = Pᵀ ∇_θ ⟨net_θ(x_t, t), v⟩ / √D.

In one basis, or in several with equally many rows.
"""

import contextlib
from functools import partial

import numpy as np

from waypoint.science import fisher
from waypoint.science.gradients.batching import rows_in_memory
from waypoint.science.gradients.hooks import trainable
from waypoint.science.projection import SideBySide, require_room
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.basis_pass import curvatures_of, device_of, projections, run_together
from waypoint.workflow.jobs.fisher_examples import FisherExamples
from waypoint.workflow.jobs.gradients_from_spec import mapped_by, per_example_gradients


def main(jobs):
    device = device_of(jobs)
    data, *_ = [job.open(job.args.data) for job in jobs]
    checkpoint, *_ = [job.checkpoint(job.args.checkpoint, data=job.args.data) for job in jobs]
    job, name = jobs[0], jobs[0].args.name  # all bases of a pass have the same rows before mapping
    curvatures = curvatures_of(jobs, checkpoint)
    theta, count = checkpoint.load(device), job.settings["kernel"]["rows"]
    p = sum(q.numel() for q in trainable(theta.unet))
    grad = per_example_gradients(job.settings, name, theta.unet)
    P = SideBySide(projections(jobs, name, theta.unet, curvatures))
    unprojected = job.settings["projection"]["kind"] == "none"
    if unprojected:
        require_room(data["image"].shape[0], count, p)
    examples = FisherExamples(job.settings, data, theta, fisher.KERNEL, name, count)

    def attributes(job, curvature):
        return job.provenance(checkpoint=name, weights=checkpoint.weights, parameters=p, **mapped_by(curvature))

    with contextlib.ExitStack() as stack:
        stores = [
            stack.enter_context(create_store(job.args.out, partial(attributes, job, curvature)))
            for job, curvature in zip(jobs, curvatures)
        ]
        for store, projection in zip(stores, P.maps):
            store.write("row", ["row"], np.arange(count))
            store.create("u", ["row", "feature"], (count, projection.d))
        step = max(1, rows_in_memory(p, device) // (len(jobs) if unprojected else 1))
        for start in range(0, count, step):
            rows = range(start, min(start + step, count))
            u = fisher.fisher_rows(theta, P, [examples[r] for r in rows], grad)
            for store, part in zip(stores, P.apart(u)):
                store.put("u", slice(start, rows.stop), part.cpu().numpy(), f"checkpoint {name}, row", rows)
            job.progress(rows.stop, count, "rows")


if __name__ == "__main__":
    run_together(main, ["data", "checkpoint", "curvature*?", "name", "out*"])
