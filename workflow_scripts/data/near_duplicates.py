"""data/near_duplicates.zarr: near-duplicate training images, of which lists name only one."""

import numpy as np

from waypoint.store.data.near_duplicates import first_of_each
from waypoint.store.zarr.reader import Rows
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.duplicate_limit import limit_and_usual
from waypoint.workflow.jobs.job import run


def main(job):
    images = job.open(job.args.data)["image"]
    limit, usual = limit_and_usual(job, images)
    n = images.shape[0]
    first = first_of_each(Rows(images).__getitem__, n, limit, lambda done: job.progress(done, n, "images compared"))
    with create_store(job.args.out, lambda: job.provenance(limit=limit, usual=float(np.median(usual)))) as store:
        store.write("train", ["train"], np.arange(n))
        store.write("first", ["train"], first)
    job.say(f"{n - len(np.unique(first))} images show the same as an earlier one, at distances below {limit:.3g}")


if __name__ == "__main__":
    run(main, ["data", "out"])
