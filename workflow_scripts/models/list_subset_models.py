"""checkpoints/subset/models.json: one file that stands for all subset models, so that readers need not name each."""

import json

from waypoint.errors import WaypointError
from waypoint.store.artifacts.atomic import whole_file
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.workflow.jobs.job import run


def main(job):
    listed = {}
    for folder in job.args.models:
        made = read_attributes(folder)
        if made is None:
            raise WaypointError(f"{folder}: no model is there; rerun the rule that trains it")
        listed[made["name"]] = {"weights": made["weights"], "rows_sha256": made["rows_sha256"]}
    with whole_file(job.args.out, job.provenance) as tmp:
        tmp.write_text(json.dumps(listed, indent=1) + "\n")


if __name__ == "__main__":
    run(main, "masks", ["models*", "out"])
