"""Trajectory scores: the TRAK scores of all steps in one, stored at every step like any other method's."""

import numpy as np

from waypoint.science.trajectory_score import trajectory_score
from waypoint.store.zarr.reader import read
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run


def main(job):
    scores = job.open(job.args.scores)
    steps = read(scores["step"])
    total = trajectory_score(read(scores["score"]), steps, job.args.target)
    with create_store(job.args.out, lambda: job.provenance(method=job.args.method, target=job.args.target)) as store:
        store.label(method=job.args.method, target=job.args.target)
        store.write("step", ["step"], steps)
        store.write("train", ["train"], np.arange(len(total)))
        store.write("score", ["step", "train"], np.tile(total.astype(np.float32), (len(steps), 1)), "step", steps)


if __name__ == "__main__":
    run(main, ["scores", "method", "target", "out"])
