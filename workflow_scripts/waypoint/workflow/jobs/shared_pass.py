"""Shared passes over the features for many targets.

The scoring jobs of an experiment take turns. The first one scores every target that has gradients but no scores, into
resume/scores/; the others find their scores finished. Scores that wait there are used only if settings, weights and
gradients are the same, and are removed after use.
"""

import contextlib
import fcntl
import json
import os
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.fingerprint import Digest
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.zarr.reader import open_store, read
from waypoint.store.zarr.writer import COLUMN_BYTES
from waypoint.workflow.jobs.locks import made_lock
from waypoint.workflow.jobs.noise_trajectories import noises_of

OF_ONE_TARGET = ("target", "generator")  # sections of a spec in which targets differ
PASS_BYTES = 1 << 30  # memory for all targets of a pass together
# bytes per value of K⁻¹g, in two precisions, and of scores: read ahead, current, stacked and averaged
RIGHT, SCORES = 12, 32
ARRAYS = 3  # arrays of a target with a chunk in memory: scores, their error, and scores by checkpoint


class SharedPass:
    """The pass as seen by one target's job, which scores all due targets or finds its own scores finished.

    Args:
        job: its arguments are ``waiting`` (the folder resume/scores/{method}), ``target``, ``targets`` (all in the
            configuration), ``gradients`` (this target's) and ``out``.
    """

    def __init__(self, job):
        self.folder, self.target, self.all_targets = Path(job.args.waiting), job.args.target, job.args.targets
        # the other targets' gradients and scores have the same paths apart from the target's name
        self.gradients_of = _siblings(job.args.gradients, f"targets/{self.target}/", "targets/{}/")
        self.scores_of = _siblings(job.args.out, f"{self.target}.zarr", "{}.zarr")
        self.gradients, self.spec = job.open(job.args.gradients), common(job.spec)
        self.origins = origins_of(self.gradients.attrs)

    @contextlib.contextmanager
    def turn(self):
        """Hold the experiment's lock, so that there is one pass at a time; afterwards remove the folder if empty."""
        with self._lock():
            yield
            if os.listdir(self.folder) == ["lock"]:
                os.remove(self.folder / "lock")
                with contextlib.suppress(OSError):  # resume/ may hold states of trainings
                    for folder in (self.folder, *self.folder.parents[:2]):
                        folder.rmdir()

    def _lock(self):
        """Wait for the lock and return its open file."""
        path = self.folder / "lock"
        while True:
            with contextlib.suppress(FileNotFoundError):  # its previous holder removed it, perhaps with the folder
                lock = made_lock(self.folder)
                fcntl.flock(lock, fcntl.LOCK_EX)
                if os.stat(path).st_ino == os.fstat(lock.fileno()).st_ino:
                    return lock
                lock.close()

    def place(self, target):
        """Return the folder in which the finished scores of a target wait for their job."""
        return self.folder / f"{target}.zarr"

    def identity(self, gradients):
        """Return the fingerprint of everything that the waiting scores of a target depend on."""
        digest = Digest()
        digest.add(json.dumps([self.spec, self.origins], sort_keys=True).encode())
        for name in ("g", "g_of_noise"):
            if name in gradients:
                digest.add(read(gradients[name]).tobytes())
        return digest.hex()

    def finished(self, target, gradients):
        """Return whether the waiting scores of a target are finished and current."""
        try:
            store = open_store(self.place(target))
        except WaypointError:  # missing or incomplete
            return False
        return store.attrs["identity"] == self.identity(gradients)

    def waiting(self):
        """Return whether this target's scores are already finished."""
        return self.finished(self.target, self.gradients)

    def targets(self, rows):
        """Return {target: gradients} of the next pass, this job's target first.

        Args:
            rows: number of rows of features in a block.
        """
        pass_gradients = {self.target: self.gradients}
        remaining = PASS_BYTES - _bytes(self.gradients, rows)
        for target in self.all_targets:
            if target in pass_gradients or not self.needs(target):
                continue
            gradients = open_store(self.gradients_of(target))
            if self.finished(target, gradients):
                continue
            remaining -= _bytes(gradients, rows)
            if remaining < 0:
                break
            pass_gradients[target] = gradients
        return pass_gradients

    def needs(self, target):
        """Return whether a target can be scored in this pass and has no current scores."""
        attributes = read_attributes(self.gradients_of(target))
        if (
            attributes is None
            or origins_of(attributes) != self.origins
            or not agree(common(attributes["spec"]), self.spec)
        ):
            return False
        score_attributes = read_attributes(self.scores_of(target))
        return score_attributes is None or not agree(common(score_attributes["spec"]), self.spec)


def origins_of(attributes):
    """Return, for each checkpoint, the hashes of the weights and the curvature, or None, behind its gradients."""
    weights = list(attributes.get("weights", []))
    return [list(hashes) for hashes in zip(weights, attributes.get("mapped_by") or [None] * len(weights), strict=True)]


def _bytes(gradients, rows):
    """Return the memory in bytes for scoring one target in blocks of ``rows``."""
    checkpoints, steps, d = gradients["g"].shape
    return noises_of(gradients) * checkpoints * steps * (RIGHT * d + SCORES * rows) + ARRAYS * COLUMN_BYTES


def common(spec):
    """Return the parts of a spec that the targets of a pass share."""
    stages = {stage: entry for stage, entry in spec.items() if isinstance(entry, dict) and stage != "item"}
    return {stage: _without(entry, OF_ONE_TARGET) for stage, entry in stages.items()}


def _without(entry, keys):
    return {key: value for key, value in entry.items() if key not in keys}


def agree(a, b):
    """Return whether two specs have equal entries for all common stages."""
    return all(a[stage] == b[stage] for stage in a.keys() & b.keys())


def _siblings(path, part, pattern):
    """Return a function from a target's name to this target's path with the name replaced."""
    start, _, end = str(path).rpartition(part)
    return lambda target: Path(f"{start}{pattern.format(target)}{end}")
