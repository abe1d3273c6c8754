"""tables/scores_of_images.csv: the scores of listed training images, for all methods, targets and steps."""

import csv

from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.data.image_names import ImageNames
from waypoint.workflow.image_scores import COLUMNS, listed_indices, rows_of
from waypoint.workflow.jobs.job import run


def main(job):
    names = ImageNames(job.open(job.args.data))
    chosen = listed_indices(names.files, job.settings["tables"]["images"], "tables.images")
    with atomic_file(job.args.out, job.provenance) as tmp, open(tmp, "w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle)
        table.writerow(COLUMNS)
        for done, path in enumerate(job.args.scores, 1):
            table.writerows(rows_of(job.open(path), chosen, names))
            job.progress(done, len(job.args.scores), "scores")


if __name__ == "__main__":
    run(main, ["data", "scores*", "out"])
