"""TRAK scores of one target: the mean over checkpoints of φ_iᵀK⁻¹g_t, with its standard error."""

from functools import partial

import numpy as np

from waypoint.errors import WaypointError
from waypoint.science.algorithm1 import attribution
from waypoint.science.kernel import CheckpointMean
from waypoint.store.arrays import blocks, create_store, read
from waypoint.workflow.script import run


def main(job):
    gradients = job.open(job.args.gradients)
    names, steps = read(gradients["checkpoint"]).tolist(), read(gradients["step"])
    mean, each = CheckpointMean(), []
    for m, (features, kernel) in enumerate(zip(job.args.features, job.args.kernels)):
        features, kernel = job.open(features), job.open(kernel)
        for made in (features, kernel):
            if made.attrs["weights"] != gradients.attrs["weights"][m]:
                raise WaypointError(
                    f"{made.store_path.store.root} and {job.args.gradients} come from different weights of checkpoint "
                    f"{names[m]}; delete both and rerun"
                )
        phi = partial(blocks, features["phi"])
        tau = attribution(phi, *features["phi"].shape, read(kernel["factor"]), read(gradients["g"], m))
        mean.add(tau)
        if job.spec["scores"]["keep_checkpoints"]:
            each.append(tau.astype(np.float32))
        job.progress(m + 1, len(names), "checkpoints")
    error = mean.standard_error()
    with create_store(job.args.out, lambda: job.provenance(method="trak", target=job.args.target)) as store:
        store.write("step", ["step"], steps)
        store.write("train", ["train"], np.arange(mean.mean.shape[1]))
        store.write("score", ["step", "train"], mean.mean.astype(np.float32), "step", steps)
        if error is not None:
            store.write("score_se", ["step", "train"], error.astype(np.float32), "step", steps)
        if each:
            store.write("checkpoint", ["checkpoint"], np.array(names))
            store.write("score_by_checkpoint", ["checkpoint", "step", "train"], np.stack(each), "checkpoint", names)


if __name__ == "__main__":
    run(main, "scores", ["gradients", "features*", "kernels*", "target", "out"])
