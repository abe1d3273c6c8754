"""evaluation/subsets.zarr: the random subsets of the training images, one row each, the same for all methods."""

import numpy as np

from waypoint.science.evaluation.subsets import subset_rows
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run


def main(job):
    n, lds = job.open(job.args.data)["image"].shape[0], job.settings["lds"]
    included = np.zeros((lds["subsets"], n), bool)
    for j, subset in enumerate(included):
        subset[subset_rows(job.settings["seed"], j, n, lds["fraction"])] = True
    with create_store(job.args.out, job.provenance) as store:
        store.write("subset", ["subset"], np.arange(len(included)))
        store.write("train", ["train"], np.arange(n))
        store.write("included", ["subset", "train"], included)


if __name__ == "__main__":
    run(main, ["data", "out"])
