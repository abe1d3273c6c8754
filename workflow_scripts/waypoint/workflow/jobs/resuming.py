"""Resumable trainings: their lock, identity, saved states and loss curve."""

import contextlib
import fcntl
import os
import warnings
from pathlib import Path

import torch

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.artifacts.checksums import require_intact
from waypoint.store.artifacts.fingerprint import json_hash
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.workflow.jobs.locks import made_lock


@contextlib.contextmanager
def sole_owner(folder, activity="training this model"):
    """Hold the lock of a state, so that an orphaned process and its successor never write the same one.

    Args:
        activity: the work of a process that holds the lock, for messages.

    Raises:
        WaypointError: another process holds it, or it belongs to another user and cannot be opened.
    """
    with made_lock(folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WaypointError(f"{folder} is locked: another process is {activity}; stop it first") from error
        yield


def identity_of(*parts):
    """Return the hash of everything that the weights depend on; states and models with another hash are not used."""
    return json_hash(parts)


def finished(folder, identity):
    """Return whether ``folder`` holds the finished model with this identity and all its files are intact."""
    try:
        attributes = read_attributes(folder)
        if attributes is None or attributes.get("training") != identity:
            return False
        require_intact(folder)
    except WaypointError:  # damaged: it is made again
        return False
    return True


def run_epochs(job, trainer, folder, identity, name):
    """Run a trainer's epochs, resuming from the state in ``folder``, and save the state there after each."""
    path = folder / "state.pt"
    if path.exists() and (state := read_state(path)) is not None and state["identity"] == identity:
        trainer.load_state(state)
        job.say(f"{name}: resumes after epoch {trainer.epoch}")
    while not trainer.finished:
        loss = trainer.run_epoch()
        write_state(path, {**trainer.state(), "identity": identity})
        job.progress(trainer.epoch, trainer.recipe["epochs"], "epochs", f"{name} loss={loss:.4f}")


def write_state(path, state):
    """Write a state completely or not at all."""
    tmp = path.with_suffix(".tmp")
    try:
        with open(tmp, "wb") as file:  # given a path instead, torch does not report a full disk
            torch.save(state, file)
        os.replace(tmp, path)
    except BaseException:
        tmp.unlink(missing_ok=True)
        raise


def read_state(path, work="its training"):
    """Read a state; return None with a warning if it is damaged, as restarting the work gives the same results."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises various exceptions for damaged files
        warnings.warn(WaypointWarning(f"{path} is damaged ({type(error).__name__}); {work} starts anew"), stacklevel=2)
        return None


def write_losses(folder, losses):
    """Write loss.csv, the mean loss of every epoch."""
    curve = "".join(f"{epoch},{loss:.6g}\n" for epoch, loss in enumerate(losses, 1))
    Path(folder, "loss.csv").write_text(f"epoch,loss\n{curve}")
