"""The trajectory of a target that is one mask of an image: a copy of the image's, which is sampled once."""

from waypoint.store.zarr.writer import link_store
from waypoint.workflow.jobs.job import run


def main(job):
    weights = job.open(job.args.trajectory).attrs["weights"]
    link_store(job.args.trajectory, job.args.out, lambda: job.provenance(weights=weights))


if __name__ == "__main__":
    run(main, ["trajectory", "out"])
