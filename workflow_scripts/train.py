"""Train one or several models on the same images; resumable, each model appears whole.

The models of one job share the imports. Finished ones wait in resume/ until all are done, so that a kill
in between loses at most one epoch of one model; with other settings or images both start anew.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import torch

from waypoint.errors import WaypointError
from waypoint.science.training import Trainer
from waypoint.store import models
from waypoint.store.arrays import read
from waypoint.store.provenance import MARKER, read_attributes
from waypoint.store.whole import whole_directory
from waypoint.workflow.script import run


@contextlib.contextmanager
def sole_owner(folder):
    """Hold the training's lock, so that an orphan and its successor never write the same state."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WaypointError(f"{folder} is locked: another process is training this model; stop it first") from error
        yield


def main(job):
    device = job.device()
    data = job.open(job.args.data)
    rows = np.arange(data["image"].shape[0])
    if job.args.rows:
        rows = np.array(json.loads(Path(job.args.rows).read_text()))
        if not len(rows) or rows.min() < 0 or rows.max() >= data["image"].shape[0]:
            raise WaypointError(f"{job.args.rows}: rows must be indices below {data['image'].shape[0]}")
    images = torch.from_numpy(read(data["image"])[rows])
    labels = torch.from_numpy(read(data["label"])[rows]) if "label" in data else None
    folders = [Path(job.args.resume, name.replace("/", "-")) for name in job.args.name]
    with contextlib.ExitStack() as owned:
        for name, folder in zip(job.args.name, folders):
            owned.enter_context(sole_owner(folder))
            train(job, name, folder, images, labels, rows, data.attrs["sha256"], device)
        for folder, out in zip(folders, job.args.out):
            if Path(out).exists():
                shutil.rmtree(out)
            Path(out).parent.mkdir(parents=True, exist_ok=True)
            os.rename(folder / "model", out)
            shutil.rmtree(folder)
    with contextlib.suppress(OSError):  # others may be training
        os.rmdir(job.args.resume)


def train(job, name, folder, images, labels, rows, data_hash, device):
    """Train one model from its last finished epoch on, into ``folder/model``."""
    # what was begun belongs to exactly these settings and images, or it is not used
    began = json.dumps([job.spec, rows.tolist(), data_hash], sort_keys=True)
    identity = hashlib.sha256(began.encode()).hexdigest()
    finished = read_attributes(folder / "model")
    if finished and finished["training"] == identity:
        return
    denoiser = models.build(job.spec["model"], job.spec["seed"], name)
    models.require_fit(denoiser, tuple(images.shape[1:]), labels, "model.unet")
    denoiser = models.Denoiser(denoiser.unet.train().to(device), denoiser.scheduler)
    if denoiser.unet.config.num_class_embeds is None:
        labels = None
    trainer = Trainer(denoiser, images, labels, job.spec["training"], job.spec["seed"], name)
    state = folder / "state.pt"
    if state.exists():
        stored = torch.load(state, map_location="cpu", weights_only=True)
        if stored["identity"] == identity:
            trainer.load_state(stored)
            job.say(f"{name}: resumes after epoch {trainer.epoch}")
    while not trainer.finished:
        loss = trainer.run_epoch()
        torch.save({**trainer.state(), "identity": identity}, state.with_suffix(".tmp"))
        os.replace(state.with_suffix(".tmp"), state)
        job.progress(trainer.epoch, job.spec["training"]["epochs"], "epochs", f"{name} loss={loss:.4f}")
    with whole_directory(folder / "model") as tmp:
        models.save(trainer.final_weights(), denoiser.scheduler, tmp)
        curve = "".join(f"{epoch},{loss:.6g}\n" for epoch, loss in enumerate(trainer.losses, 1))
        Path(tmp, "loss.csv").write_text(f"epoch,loss\n{curve}")
        made = {"name": name, "images": len(rows), "data_sha256": data_hash, "training": identity}
        made = job.provenance(**made, weights=models.weights_hash(tmp))
        Path(tmp, MARKER).write_text(json.dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    run(main, "train", ["data", "rows?", "resume", "name*", "out*"])
