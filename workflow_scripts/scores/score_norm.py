"""Control: ‖φ_i‖, averaged over checkpoints. It ignores the target: its top images dominate every target."""

import numpy as np

from waypoint.store.zarr.quantised import blocks
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.noise_trajectories import mean_and_error


def main(job):
    steps = job.settings["target"]["steps"]
    mean, error = mean_and_error(np.stack([norms(job.open(path)) for path in job.args.features]))
    with create_store(job.args.out, lambda: job.provenance(method=job.args.method, target=job.args.target)) as store:
        store.label(method=job.args.method, target=job.args.target)
        store.write("step", ["step"], np.array(steps))
        store.write("train", ["train"], np.arange(len(mean)))
        for name, row in (("score", mean), ("score_se", error)):
            if row is not None:
                store.write(name, ["step", "train"], np.tile(row.astype(np.float32), (len(steps), 1)), "step", steps)


def norms(features):
    """Return ‖φ_i‖ (train,), float64, of one checkpoint's open store of features."""
    return np.concatenate([np.linalg.norm(rows.astype(np.float64), axis=1) for _, rows in blocks(features)])


if __name__ == "__main__":
    run(main, ["features*", "method", "target", "out"])
