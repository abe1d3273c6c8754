"""tables/*_comparison.csv: whether one method's removals change the image more than another's, paired over targets."""

from itertools import combinations

import pandas as pd

from waypoint.science.evaluation import paired
from waypoint.science.random_streams import numpy_stream
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.workflow.jobs.job import run

CHANGE = {"counterfactual_fid": "fid_increase", "forgetting": "l2"}  # the column that measures the change
COLUMNS = "method versus step n_remove difference low high targets".split()


def main(job):
    table, _ = job.table(job.args.table)
    column, rows = CHANGE[job.args.evaluation], []
    # forgetting only: models of the full set, compared with every number of removals
    full_set = table[table["n_remove"] == 0]
    for count in sorted(set(table["n_remove"]) - {0}):
        selected = pd.concat([table[table["n_remove"] == count], full_set])
        changes = selected.pivot(index="target", columns="method", values=column)
        for method, versus in combinations(selected["method"].unique(), 2):
            differences = (changes[method] - changes[versus]).to_numpy()
            stream = numpy_stream(job.settings["seed"], "compare removals")
            low, high = paired.interval_of_mean(differences, stream)
            row = {"method": method, "versus": versus, "step": table["step"].iloc[0], "n_remove": count}
            row |= {"difference": differences.mean(), "low": low, "high": high}
            rows.append({**row, "targets": len(differences)})
    with atomic_file(job.args.out, job.provenance) as tmp:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(tmp, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main, ["evaluation", "table", "out"])
