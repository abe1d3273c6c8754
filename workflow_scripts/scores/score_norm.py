"""Control: ‖φ_i‖, the mean over checkpoints. It knows no target, so what it ranks first dominates every target."""

import numpy as np

from waypoint.science.kernel import CheckpointMean
from waypoint.store.zarr.quantised import blocks
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run


def main(job):
    steps, mean = job.settings["target"]["steps"], CheckpointMean()
    for path in job.args.features:
        features = job.open(path)
        mean.add(np.concatenate([np.linalg.norm(rows.astype(np.float64), axis=1) for _, rows in blocks(features)]))
    with create_store(job.args.out, lambda: job.provenance(method=job.args.method, target=job.args.target)) as store:
        store.label(method=job.args.method, target=job.args.target)
        store.write("step", ["step"], np.array(steps))
        store.write("train", ["train"], np.arange(len(mean.mean)))
        for name, row in (("score", mean.mean), ("score_se", mean.standard_error())):
            if row is not None:
                store.write(name, ["step", "train"], np.tile(row.astype(np.float32), (len(steps), 1)), "step", steps)


if __name__ == "__main__":
    run(main, ["features*", "method", "target", "out"])
