"""tables/sign_overlap.csv: targets with an image in the top K at one step and the bottom K at another (B.4)."""

import numpy as np
import pandas as pd

from waypoint.errors import WaypointError
from waypoint.science.evaluation.ranking import constant_steps
from waypoint.science.evaluation.sign_overlap import flips_sign, random_sign_overlap, ranks
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.zarr.reader import read
from waypoint.workflow.figures.read_scores import read_scores, what_ran
from waypoint.workflow.jobs.job import run

COLUMNS = ["method", "top_k", "observed", "random", "targets", "steps"]


def main(job):
    common, top_k = common_steps(job), sorted(job.settings["sign_overlap"]["top_k"])
    flips = {}  # {method: one row of bool per target}
    for method, target, steps, score in read_scores(job):
        targets = flips.setdefault(method, [])
        score = score[[steps.index(t) for t in common]]
        if constant_steps(score).any():
            job.say(f"{method}, target {target}: the scores of a step are all equal and have no order; not counted")
            continue
        ranks_by_step = ranks(score)
        targets.append([flips_sign(*ranks_by_step, k).any() for k in top_k])
    counts = what_ran(job)
    rows = []
    for method, targets in flips.items():
        observed = np.mean(targets, axis=0) if targets else np.full(len(top_k), np.nan)
        expected = [random_sign_overlap(counts["images"], len(common), k) for k in top_k]
        rows += [(method, k, o, e, len(targets), len(common)) for k, o, e in zip(top_k, observed, expected)]
    with atomic_file(job.args.out, lambda: job.provenance(**counts)) as tmp:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(tmp, index=False, float_format="%.6g")


def common_steps(job):
    """Return the steps that all targets have, ascending: more steps give more chances to change sides.

    Raises:
        WaypointError: there are fewer than two.
    """
    common = set.intersection(*(set(read(job.open(path)["step"]).tolist()) for path in job.args.scores))
    if len(common) < 2:
        raise WaypointError(
            f"evaluation.sign_overlap counts all targets with the same steps, but they share {len(common)}; "
            "give them at least two common steps"
        )
    return sorted(common)


if __name__ == "__main__":
    run(main, ["scores*", "out"])
