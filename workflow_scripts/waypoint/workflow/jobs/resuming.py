"""Trainings that survive a kill: their lock, identity, epochs and loss curve."""

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
def sole_owner(folder, at="training this model"):
    """Hold the lock of a state, so that an orphan and its successor never write the same one.

    Args:
        at: what another process that holds it is doing.

    Raises:
        WaypointError: another process holds it, or it is somebody else's and closed.
    """
    with made_lock(folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WaypointError(f"{folder} is locked: another process is {at}; stop it first") from error
        yield


def identity_of(*parts):
    """Hash of everything the weights depend on; states and models with another hash are not used."""
    return json_hash(parts)


def finished(folder, identity):
    """Whether ``folder`` holds the finished model of this identity, with all its files as they were written."""
    try:
        attributes = read_attributes(folder)
        if attributes is None or attributes.get("training") != identity:
            return False
        require_intact(folder)
    except WaypointError:  # damaged: it is made again
        return False
    return True


def run_epochs(job, trainer, folder, identity, name):
    """Run a trainer's epochs from the state in ``folder`` on, and write the state there after each."""
    state = folder / "state.pt"
    if state.exists() and (stored := read_state(state)) is not None and stored["identity"] == identity:
        trainer.load_state(stored)
        job.say(f"{name}: resumes after epoch {trainer.epoch}")
    while not trainer.finished:
        loss = trainer.run_epoch()
        write_state(state, {**trainer.state(), "identity": identity})
        job.progress(trainer.epoch, trainer.recipe["epochs"], "epochs", f"{name} loss={loss:.4f}")


def write_state(path, state):
    """Write a state, whole or not at all."""
    tmp = path.with_suffix(".tmp")
    try:
        with open(tmp, "wb") as file:  # torch, given a path, does not say that the disk is full
            torch.save(state, file)
        os.replace(tmp, path)
    except BaseException:
        tmp.unlink(missing_ok=True)
        raise


def read_state(path, of="its training"):
    """A state, or None where it is damaged: the work then starts anew and ends with the same numbers."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds over a file that is not what it should be
        warnings.warn(WaypointWarning(f"{path} is damaged ({type(error).__name__}); {of} starts anew"), stacklevel=2)
        return None


def write_losses(folder, losses):
    """Write loss.csv, the mean loss of every epoch."""
    curve = "".join(f"{epoch},{loss:.6g}\n" for epoch, loss in enumerate(losses, 1))
    Path(folder, "loss.csv").write_text(f"epoch,loss\n{curve}")
