"""tables/top_overlap.csv: how much the top lists of different targets share, and the image that most of them hold."""

import numpy as np
import pandas as pd

from waypoint.science.evaluation.ranking import constant_steps, top_and_bottom
from waypoint.science.evaluation.top_overlap import top_overlap
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.workflow.figures.read_scores import read_scores, what_ran
from waypoint.workflow.jobs.job import run

COLUMNS = ["method", "step", "top_k", "overlap", "random", "most_common", "frequency", "targets"]


def main(job):
    top_k = sorted(job.settings["top_overlap"]["top_k"])
    lists = {}  # {(method, step): one list of images per target}
    for method, target, steps, score in read_scores(job):
        for t, row, constant in zip(steps, score, constant_steps(score)):
            tops = lists.setdefault((method, t), [])
            if constant:
                job.say(f"{method}, target {target}: the scores of step {t} are all equal and have no top; not counted")
            else:
                tops.append(top_and_bottom(row, top_k[-1])[0])
    counts = what_ran(job)
    rows = []
    for (method, t), tops in lists.items():
        for k in top_k:
            # one target has nothing to share
            shared = top_overlap(np.array(tops)[:, :k], counts["images"]) if len(tops) > 1 else (np.nan, "", np.nan)
            overlap, most_common, frequency = shared
            rows.append((method, t, k, overlap, k / counts["images"], most_common, frequency, len(tops)))
    with atomic_file(job.args.out, lambda: job.provenance(**counts)) as tmp:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(tmp, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main, ["scores*", "out"])
