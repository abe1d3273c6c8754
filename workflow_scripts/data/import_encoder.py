"""Import a VAE or a text encoder from a folder or hub id into the store: scoring then needs only the store."""

from pathlib import Path

from waypoint.store.artifacts.atomic import atomic_directory
from waypoint.store.artifacts.checksums import write_marker
from waypoint.store.artifacts.fingerprint import weights_hash
from waypoint.store.artifacts.source_files import source_record
from waypoint.store.networks.hub import fetch
from waypoint.store.networks.places import local_place
from waypoint.store.networks.text_encoder import TEXT_ENCODER_PARTS, copy, load_text_encoder
from waypoint.store.networks.vae import VAE_PARTS, load_vae, save_vae
from waypoint.workflow.jobs.job import run


def main(job):
    parts = {"vae": VAE_PARTS, "text_encoder": TEXT_ENCODER_PARTS}
    ((kind, settings),) = ((key, job.settings[key]) for key in parts if key in job.settings)
    fetched = fetch(settings["path"], kind, parts[kind])
    with atomic_directory(job.args.out) as tmp:
        if kind == "vae":
            save_vae(load_vae(settings["path"]).vae, tmp)
        else:
            copy(settings["path"], tmp)
            load_text_encoder(tmp, settings["max_length"], name=settings["path"])  # fails unless it loads
        folder = local_place(settings["path"], kind)
        # the folder of a hub id has the revision in its name
        source = source_record([folder]) if Path(folder).exists() else None
        attributes = {"imported_from": fetched, "source": source}
        attributes["weights"] = weights_hash(tmp)
        write_marker(tmp, job.provenance(**attributes))


if __name__ == "__main__":
    run(main, ["out"])
