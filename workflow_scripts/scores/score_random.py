"""Control: random scores, which any method must beat."""

import numpy as np

from waypoint.science.baselines import random_scores
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run


def main(job):
    n = job.open(job.args.data)["image"].shape[0]
    steps = job.settings["target"]["steps"]
    score = random_scores(job.settings["seed"], job.args.target, steps, n)
    with create_store(job.args.out, lambda: job.provenance(method=job.args.method, target=job.args.target)) as store:
        store.label(method=job.args.method, target=job.args.target)
        store.write("step", ["step"], np.array(steps))
        store.write("train", ["train"], np.arange(n))
        store.write("score", ["step", "train"], score.astype(np.float32))


if __name__ == "__main__":
    run(main, ["data", "method", "target", "out"])
