"""Take a VAE or a text encoder from a folder or hub id into the store: a scored image then needs only the store."""

from pathlib import Path

from waypoint.store import autoencoders, text_encoders
from waypoint.store.intact import write_marker
from waypoint.store.models import fetch, weights_hash
from waypoint.store.packages import located
from waypoint.store.raw import source_record
from waypoint.store.whole import whole_directory
from waypoint.workflow.script import run


def main(job):
    parts = {"vae": autoencoders.PARTS, "text_encoder": text_encoders.PARTS}
    ((kind, given),) = ((key, job.spec[key]) for key in parts if key in job.spec)
    fetched = fetch(given["path"], kind, parts[kind])
    with whole_directory(job.args.out) as tmp:
        if kind == "vae":
            autoencoders.save(autoencoders.load(given["path"]).vae, tmp)
        else:
            text_encoders.TextEncoder(fetched, given["max_length"])  # whether it loads
            text_encoders.copy(given["path"], tmp)
        folder = located(given["path"], kind)
        # a hub id's folder carries its revision in its name
        source = source_record([folder]) if Path(folder).exists() else None
        made = {"imported_from": fetched, "source": source}
        made["weights"] = weights_hash(tmp)
        write_marker(tmp, job.provenance(**made))


if __name__ == "__main__":
    run(main, "encoder", ["out"])
