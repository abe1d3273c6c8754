"""evaluation/classifiers/{kind}/: a classifier of the labelled images, trained normally or adversarially (B.10)."""

import torch

from waypoint.errors import WaypointError
from waypoint.science.classifier import train
from waypoint.store import classifiers
from waypoint.store.arrays import read
from waypoint.workflow.script import run


def main(job):
    device, data = job.device(), job.open(job.args.data)
    if "label" not in data:
        raise WaypointError(
            f"{job.args.data} has no labels to train a classifier on; leave out evaluation.likelihood, "
            "and let evaluation.fid.features be inception"
        )
    images, labels = (torch.from_numpy(read(data[name])).to(device) for name in ("image", "label"))
    settings = job.spec["classifier"][job.args.kind]

    def say(epoch, loss):
        job.progress(epoch, settings["epochs"], "epochs", f"loss={loss:.4f}")

    key = (job.spec["seed"], "classifier", job.args.kind)
    network, found = train(images, labels, int(labels.max()) + 1, settings, key, say)
    classifiers.save(network, job.args.out, lambda: job.provenance(kind=job.args.kind, **found))
    job.say(f"{job.args.kind}: {found}")


if __name__ == "__main__":
    run(main, "classifier", ["data", "kind", "out"])
