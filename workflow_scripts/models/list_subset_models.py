"""checkpoints/subset/models.json: one file that stands for all subset models, so that readers need not name each."""

import json

from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.artifacts.fingerprint import text_hash
from waypoint.workflow.jobs.job import run


def main(job):
    listed = {}
    for folder in job.args.models:
        attributes = job.checkpoint(folder).attributes
        listed[attributes["name"]] = {"weights": attributes["weights"], "rows_sha256": attributes["rows_sha256"]}
    text = json.dumps(listed, indent=1) + "\n"
    # readers record this hash in place of all models'
    with atomic_file(job.args.out, lambda: job.provenance(sha256=text_hash(text))) as tmp:
        tmp.write_text(text)


if __name__ == "__main__":
    run(main, ["models*", "out"])
