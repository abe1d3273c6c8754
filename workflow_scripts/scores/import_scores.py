"""The scores of a user's own method for one target at its attributed steps."""

import numpy as np

from waypoint.store.data.own_scores import OwnScores
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run


def main(job):
    n, steps = job.open(job.args.data)["image"].shape[0], job.settings["target"]["steps"]
    scores = OwnScores(job.args.source, f"methods.{job.args.method}.scores")
    scores.require(steps, n)
    with create_store(job.args.out, lambda: job.provenance(method=job.args.method, target=job.args.target)) as store:
        store.label(method=job.args.method, target=job.args.target)
        store.write("step", ["step"], np.array(steps))
        store.write("train", ["train"], np.arange(n))
        for name in ("score", "score_se"):
            if (rows := scores.rows(name, steps)) is not None:
                store.write(name, ["step", "train"], rows, "step", steps)


if __name__ == "__main__":
    run(main, ["data", "source", "method", "target", "out"])
