"""Import an existing LoRA adapter into the store, whatever its naming style, and compare it with the base."""

from waypoint.store.artifacts.atomic import atomic_directory
from waypoint.store.artifacts.checksums import write_marker
from waypoint.store.artifacts.fingerprint import weights_hash
from waypoint.store.artifacts.source_files import source_record
from waypoint.store.networks import adapters
from waypoint.store.networks.adapter_files import file_of
from waypoint.workflow.jobs.job import run


def main(job):
    path, alpha = job.settings["given"]["adapter"], job.settings.get("adapter", {}).get("alpha")
    base = job.checkpoint(job.args.base)
    denoiser = base.load()
    adapters.add_existing(denoiser, path, alpha)
    with atomic_directory(job.args.out) as tmp:
        adapters.save(denoiser.unet, tmp)
        source = source_record([str(file_of(path))])
        attributes = {"name": job.args.name, "imported_from": path, "source": source, "base": base.weights}
        write_marker(tmp, job.provenance(**attributes, weights=weights_hash(tmp)))


if __name__ == "__main__":
    run(main, ["base", "name", "out"])
