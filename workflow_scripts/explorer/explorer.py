"""explorer/: a page for the browser that shows the store's results, step by step."""

from waypoint.store.artifacts.atomic import atomic_directory
from waypoint.store.artifacts.checksums import write_marker
from waypoint.workflow.explorer import content, page
from waypoint.workflow.jobs.job import run


def main(job):
    inputs = content.open_all(job)
    with atomic_directory(job.args.out) as tmp:
        page.place(tmp)
        content.write(
            inputs, tmp, job.args.experiment, "../", None, lambda done, all: job.progress(done, all, "pictures")
        )
        write_marker(tmp, job.provenance())


if __name__ == "__main__":
    run(
        main,
        [
            *("data", "near", "trajectories*", "samples*", "scores*", "top", "lds?", "groups?", "lists*", "pngs*"),
            *("compared*", "experiment", "out"),
        ],
    )
