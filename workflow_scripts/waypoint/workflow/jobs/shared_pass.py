"""Many targets share one pass over the features.

Scoring jobs of one experiment take turns. Whoever comes first scores every target whose gradients are there and whose
scores are not, into resume/scores/; the others find theirs finished. What waits there is taken only with the same
settings, weights and gradients, and is removed when taken.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.zarr.reader import open_store, read
from waypoint.store.zarr.writer import COLUMN_BYTES
from waypoint.workflow.plan.specs import disagreement

OF_ONE_TARGET = ("target", "generator", "checkpoint")  # sections of a spec in which targets differ
PASS_BYTES = 1 << 30  # that the targets of a pass may take together
RIGHT, SCORES = 12, 32  # bytes of one value: of K⁻¹g, in two precisions; of scores ahead, at hand, stacked and averaged
ARRAYS = 3  # of a target under construction, a chunk of each at hand: scores, their error, those of each checkpoint


class SharedPass:
    """The turn of one target's job.

    Args:
        folder: resume/scores/ of the experiment. target, gradients: this job's. spec: of this job's scores.
    """

    def __init__(self, folder, target, gradients, spec):
        self.folder, self.target = Path(folder), target
        self.root = self.folder.parents[1]
        self.own, self.spec = gradients, common(spec)
        self.weights = list(gradients.attrs["weights"])

    @contextlib.contextmanager
    def turn(self):
        """Hold the experiment's lock: one pass at a time. Afterwards nothing is left but what waits to be taken."""
        with self._lock() as lock:
            yield
            if os.listdir(self.folder) == [Path(lock.name).name]:
                os.remove(lock.name)
                with contextlib.suppress(OSError):  # another training's state keeps resume/
                    self.folder.rmdir()
                    self.folder.parent.rmdir()

    def _lock(self):
        """The lock's open file, once it is ours."""
        path = self.folder / "lock"
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # whoever held it removed it, perhaps with the folder
                lock = open(path, "w")
                fcntl.flock(lock, fcntl.LOCK_EX)
                if os.stat(path).st_ino == os.fstat(lock.fileno()).st_ino:
                    return lock
                lock.close()

    def place(self, target):
        """Where a target's scores wait."""
        return self.folder / f"{target}.zarr"

    def identity(self, gradients):
        """What scores that wait are the result of."""
        key = json.dumps([self.spec, self.weights], sort_keys=True).encode()
        return hashlib.sha256(key + read(gradients["g"]).tobytes()).hexdigest()

    def finished(self, target, gradients):
        """Whether a target's scores wait to be taken."""
        try:
            found = open_store(self.place(target))
        except WaypointError:  # none, or not whole
            return False
        return found.attrs["identity"] == self.identity(gradients)

    def waiting(self):
        """Whether this target's scores are finished already."""
        return self.finished(self.target, self.own)

    def targets(self, rows):
        """{target: gradients} of the next pass, this job's first.

        Args:
            rows: of features in a block.
        """
        chosen = {self.target: self.own}
        left = PASS_BYTES - _bytes(self.own, rows)
        for path in sorted(self.root.glob("targets/*/gradients.zarr")):
            target = path.parent.name
            if target in chosen or not self.needs(target, path):
                continue
            gradients = open_store(path)
            if self.finished(target, gradients):
                continue
            left -= _bytes(gradients, rows)
            if left < 0:
                break
            chosen[target] = gradients
        return chosen

    def needs(self, target, path):
        """Whether a target would have its scores made by the same pass, and has not."""
        made = read_attributes(path)
        if made is None or made.get("weights") != self.weights or disagreement(common(made["spec"]), self.spec):
            return False
        scored = read_attributes(self.root / "scores/trak" / f"{target}.zarr")
        return scored is None or disagreement(common(scored["spec"]), self.spec) is not None


def _bytes(gradients, rows):
    """That one target takes while it is scored in blocks of ``rows``."""
    checkpoints, steps, d = gradients["g"].shape
    return checkpoints * steps * (RIGHT * d + SCORES * rows) + ARRAYS * COLUMN_BYTES


def common(spec):
    """The sections of a spec that targets of one pass share."""
    return {key: value for key, value in spec.items() if key not in OF_ONE_TARGET}
