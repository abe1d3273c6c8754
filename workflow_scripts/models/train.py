"""Train one or several models, or adapters of a base, on the same images: all, a random subset, or all without some.

Training is resumable. The models of one job share the imports. Finished ones wait in resume/ until all are done, so an
interruption loses at most one epoch of one model; other settings or images make training start anew.
"""

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from waypoint.science.training import DenoiserTrainer
from waypoint.store.artifacts.atomic import atomic_directory
from waypoint.store.artifacts.checksums import require_intact, rewrite_marker, write_marker
from waypoint.store.artifacts.fingerprint import weights_hash
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.artifacts.replaced import set_aside
from waypoint.store.data.training_set import conditions_of, inputs_of, null_of, require_fit
from waypoint.store.networks import adapters, checkpoints
from waypoint.store.networks.training_rows import rows_hash, training_rows
from waypoint.store.zarr.reader import read
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.resuming import finished, identity_of, run_epochs, sole_owner, write_losses


@dataclass
class Training:
    """One model to train: its name, its place, and the images it sees."""

    name: str
    stream: str  # key of its random streams
    out: Path
    resume: Path
    rows: np.ndarray
    data_sha256: str
    base: str | None  # SHA-256 of the weights of an adapter's base

    def identity(self, spec):
        """Return the hash of everything the weights depend on; states and models with another hash are not used."""
        settings = {stage: entry for stage, entry in spec.items() if stage != "item"}  # the rows stand for the images
        base = [self.base] if self.base else []
        return identity_of(settings, self.stream, rows_hash(self.rows), self.data_sha256, *base)


def main(job):
    device = job.device()
    data = job.open(job.args.data)
    scores = job.open(job.args.scores) if job.args.scores else None
    rows = training_rows(job.settings.get("images"), job.settings["seed"], data["image"].shape[0], scores)
    # a latent model sees only encoded images
    images = torch.from_numpy(read(inputs_of(data))[rows])
    base = job.checkpoint(job.args.base).weights if job.args.base else None
    trained = []
    with contextlib.ExitStack() as locks:
        for name, out in zip(job.args.name, map(Path, job.args.out)):
            # removing the same images gives the same model, whichever method or target asks for it
            stream = "without" if name.startswith("without/") else name
            folder = Path(job.args.resume, name.replace("/", "-"))
            training = Training(name, stream, out, folder, rows, data.attrs["sha256"], base)
            locks.enter_context(sole_owner(folder))
            if finished(out, training.identity(job.spec)):
                confirm(job, out)
            else:
                if stream == name or not take_over(job, training):
                    train(job, training, images, data, device)
                trained.append(training)
        for training in trained:
            set_aside(training.out)
            training.out.parent.mkdir(parents=True, exist_ok=True)
            os.rename(training.resume / "model", training.out)
        for name in job.args.name:
            shutil.rmtree(Path(job.args.resume, name.replace("/", "-")))
    with contextlib.suppress(OSError):  # others may be training
        os.rmdir(job.args.resume)


def confirm(job, folder):
    """Give a finished model this job's attributes: other scores led to the same images."""
    stored = read_attributes(folder) or {}
    if stored.get("identity") == job.provenance.identity:
        return
    attributes = {**stored, **job.provenance.origin()}
    if folder.is_symlink():  # a linked model may belong to somebody else
        copy(folder, folder, attributes)
    else:
        rewrite_marker(folder, attributes)
    job.say(f"{folder}: same images and recipe, nothing to train")


def copy(model, place, attributes):
    """Copy a finished model, with other attributes."""
    require_intact(model)
    with atomic_directory(place) as tmp:
        shutil.copytree(model, tmp, dirs_exist_ok=True)
        write_marker(tmp, attributes)


def take_over(job, training):
    """Copy an existing model of the same images and recipe; return whether there is one."""
    for other in sorted(training.out.parent.iterdir()) if training.out.parent.exists() else []:
        if other != training.out and ".tmp-" not in other.name and finished(other, training.identity(job.spec)):
            changed = {"name": training.name, "same_as": other.name}
            copy(
                other,
                training.resume / "model",
                {**(read_attributes(other) or {}), **job.provenance.origin(), **changed},
            )
            job.say(f"{training.name}: same images and recipe as {other}, nothing to train")
            return True
    return False


def train(job, training, images, data, device):
    """Train one model, from its last finished epoch on, into ``resume/model``."""
    folder, name, identity = training.resume, training.name, training.identity(job.spec)
    if finished(folder / "model", identity):
        return
    denoiser = initial_denoiser(job, training)
    require_fit(denoiser, data, "checkpoints.base" if training.base else "model.unet", training.rows)
    denoiser = checkpoints.Denoiser(denoiser.unet.train().to(device), denoiser.scheduler)
    conditions, recipe, seed = (
        conditions_of(data, denoiser, training.rows),
        job.settings["training"],
        job.settings["seed"],
    )
    trainer = DenoiserTrainer(denoiser, images, conditions, recipe, seed, training.stream, null_of(data))
    run_epochs(job, trainer, folder, identity, name)
    with atomic_directory(folder / "model") as tmp:
        if training.base:
            adapters.save(trainer.final_weights(), tmp)
        else:
            checkpoints.save(trainer.final_weights(), denoiser.scheduler, tmp)
        write_losses(tmp, trainer.losses)
        attributes = {"name": name, "images": len(training.rows), "rows_sha256": rows_hash(training.rows)}
        attributes |= {"base": training.base} if training.base else {}
        attributes |= {"data_sha256": training.data_sha256, "training": identity, "weights": weights_hash(tmp)}
        write_marker(tmp, job.provenance(**attributes))


def initial_denoiser(job, training):
    """Return the denoiser before training: a new network, or the base with a new adapter."""
    if training.base is None:
        return checkpoints.build(job.settings["model"], job.settings["seed"], training.stream)
    denoiser = job.checkpoint(job.args.base).load()
    adapters.add_new(denoiser, job.settings["adapter"], job.settings["seed"], training.stream)
    return denoiser


if __name__ == "__main__":
    run(main, ["data", "base?", "scores?", "resume", "name*", "out*"])
