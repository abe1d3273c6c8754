"""tables/group_influences.csv: the groups of all targets in one table."""

from waypoint.store.artifacts.atomic import atomic_file
from waypoint.workflow.jobs.job import run


def main(job):
    with atomic_file(job.args.out, job.provenance) as tmp, open(tmp, "wb") as table:
        for k, path in enumerate(job.args.tables):
            with open(job.folder(path), "rb") as part:
                header = part.readline()
                table.write((b"" if k else header) + part.read())


if __name__ == "__main__":
    run(main, ["tables*", "out"])
