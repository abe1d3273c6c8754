"""tables/step_correlation.csv: Spearman correlation between a target's scores at every two steps (B.5)."""

import pandas as pd

from waypoint.errors import WaypointError
from waypoint.science.evaluation.step_correlation import step_correlation
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.workflow.figures.read_scores import read_scores, what_ran
from waypoint.workflow.jobs.job import run

COLUMNS = ["method", "target", "step_a", "step_b", "spearman"]


def main(job):
    rows = []
    for method, target, steps, score in read_scores(job):
        correlation = step_correlation(score)
        rows += [
            (method, target, steps[a], steps[b], correlation[a, b])
            for a in range(len(steps))
            for b in range(a + 1, len(steps))
        ]
    if not rows:
        raise WaypointError("evaluation.step_correlation compares steps: give a target at least two")
    counts = what_ran(job)
    with atomic_file(job.args.out, lambda: job.provenance(**counts)) as tmp:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(tmp, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main, ["scores*", "out"])
