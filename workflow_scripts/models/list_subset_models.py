"""checkpoints/subset/models.json: one file that stands for all subset models, so that readers need not name each."""

import json

from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.artifacts.fingerprint import text_hash
from waypoint.workflow.jobs.job import run


def main(job):
    entries = {}
    for folder in job.args.models:
        attributes = job.checkpoint(folder).attributes
        entries[attributes["name"]] = {"weights": attributes["weights"], "rows_sha256": attributes["rows_sha256"]}
    text = json.dumps(entries, indent=1) + "\n"
    # readers record this hash instead of every model's
    with atomic_file(job.args.out, lambda: job.provenance(sha256=text_hash(text))) as tmp:
        tmp.write_text(text)


if __name__ == "__main__":
    run(main, ["models*", "out"])
