"""figures/{target}/explorer.html: the page about one target in a single file, with the training images of its lists."""

import csv
import tempfile
from pathlib import Path

from waypoint.store.artifacts.atomic import atomic_file
from waypoint.workflow.explorer import content, page
from waypoint.workflow.explorer.kept_part import write_part
from waypoint.workflow.jobs.job import run


def main(job):
    inputs, target = content.open_all(job), job.args.target
    images = listed_images(inputs.top, target)
    with tempfile.TemporaryDirectory() as folder:
        content.write(inputs, Path(folder), job.args.experiment, "store/", images)
        write_part(inputs, Path(folder, "store"), images)
        html = page.packed(Path(folder), f"{target} of {job.args.experiment}")
    with atomic_file(job.args.out, job.provenance) as tmp:
        tmp.write_text(html, encoding="utf-8")


def listed_images(table, target):
    """Return the training images in a target's lists by any method at any step, ascending."""
    with open(table, newline="", encoding="utf-8") as rows:
        return sorted({int(row["train"]) for row in csv.DictReader(rows) if row["target"] == target})


if __name__ == "__main__":
    run(
        main,
        [
            *("data", "near", "trajectories*", "samples*", "scores*", "top", "lds?", "groups?", "lists*", "pngs*"),
            *("compared*", "experiment", "target", "out"),
        ],
    )
