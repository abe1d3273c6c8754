"""tables/given_images.csv: the training images near every given image, the model's loss on it, and a verdict."""

import csv

from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.zarr.reader import read
from waypoint.workflow.jobs.compared_image import Compared
from waypoint.workflow.jobs.job import run

COLUMNS = "target inversion what step distance typical limit nearest file alike loss train_share held_out_share words"


def main(job):
    data = job.open(job.args.data)
    names = read(data["file"]) if "file" in data else None
    with atomic_file(job.args.out, job.provenance) as tmp, open(tmp, "w", newline="", encoding="utf-8") as handle:
        table: csv.DictWriter[str] = csv.DictWriter(handle, COLUMNS.split())
        table.writeheader()
        for path in job.args.compared:
            for row in Compared(job.open(path), names).rows():
                table.writerow({key: formatted(value) for key, value in row.items()})


def formatted(value):
    """Format a number with six digits, as in all tables."""
    return f"{value:.6g}" if hasattr(value, "__float__") and not isinstance(value, int) else value


if __name__ == "__main__":
    run(main, ["data", "compared*", "out"])
