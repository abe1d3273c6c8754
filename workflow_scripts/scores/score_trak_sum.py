"""Trajectory scores: the scores of all steps, added up and stored at every step as for any other method.

Scores of single checkpoints, or of halves of the draws, are added up likewise if they are kept: lists are judged by
them.
"""

import numpy as np

from waypoint.science.trajectory_score import step_weights, trajectory_score
from waypoint.store.zarr.reader import read
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run


def main(job):
    scores = job.open(job.args.scores)
    steps = read(scores["step"])
    score = read(scores["score"])
    weights = step_weights(score, steps, job.args.target)
    total = trajectory_score(score, weights)
    with create_store(job.args.out, lambda: job.provenance(method=job.args.method, target=job.args.target)) as store:
        store.label(method=job.args.method, target=job.args.target)
        store.write("step", ["step"], steps)
        store.write("train", ["train"], np.arange(len(total)))
        store.write("score", ["step", "train"], np.tile(total.astype(np.float32), (len(steps), 1)), "step", steps)
        for part in ("checkpoint", "half"):
            if f"score_by_{part}" not in scores:
                continue
            names = read(scores[part])
            totals = trajectory_score(read(scores[f"score_by_{part}"]), weights).astype(np.float32)
            store.write(part, [part], names)
            tiled = np.repeat(totals[:, None], len(steps), axis=1)
            store.write(f"score_by_{part}", [part, "step", "train"], tiled, part, names)


if __name__ == "__main__":
    run(main, ["scores", "method", "target", "out"])
