"""Provenance of an artifact: its spec, the stage's version, packages, commit, device and the run's figures."""

import importlib.metadata
import json
import platform
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.zarr.attributes import given

PACKAGES = (
    "numpy",
    "scipy",
    "zarr",
    "torch",
    "torchvision",
    "diffusers",
    "transformers",
    "timm",
    "scikit-learn",
    "matplotlib",
)
MARKER = "waypoint.json"


def _versions():
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def _commit():
    """The checkout's commit, with '+' where tracked files differ from it; None outside git."""
    here = Path(__file__).parent
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        return None
    return run.stdout.strip() or None


def peak_memory():
    """Bytes of this process's own peak; ru_maxrss would begin at that of the process which started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)


class DamagedArtifact(WaypointError):
    """An artifact whose metadata or marker is missing or unreadable."""


class Provenance:
    """Collects an artifact's attributes; call it at the end of the job.

    Attributes:
        reads: {artifact: SHA-256} of the images, embeddings and weights that the job has read so far, itself or through
            what it read.
    """

    def __init__(self, stage, spec, identity, device="cpu"):
        self.stage, self.spec, self.identity, self.device = stage, spec, identity, device
        self.reads = {}
        self.started = time.time()

    def has_read(self, name, attributes):
        """Note what an artifact holds; where that has no hash of its own, what it was made from."""
        content = content_hash_of(attributes)
        self.reads |= attributes.get("reads", {}) if content is None else {name: content}

    def origin(self):
        """What the artifact is the result of: stage, spec, identity and what was read."""
        reads = dict(sorted(self.reads.items()))
        return {"stage": self.stage, "spec": self.spec, "identity": self.identity, "reads": reads}

    def __call__(self, **extra):
        """The attributes as a JSON-serialisable dict; ``extra`` adds stage-specific ones."""
        return {
            **self.origin(),
            "packages": _versions(),
            "commit": _commit(),
            "device": self.device,
            "seconds": round(time.time() - self.started, 2),
            "peak_memory_mb": peak_memory() >> 20,
            **extra,
        }


def marker_path(path):
    """Where an artifact keeps its attributes: in Zarr metadata, a folder's marker file, or beside a file."""
    path = Path(path)
    if path.suffix == ".zarr":
        return path / "zarr.json"
    # a model's folder may have a dot in its name, a share of removed images
    return path.with_name(f".{path.name}.json") if path.suffix and not path.is_dir() else path / MARKER


def content_hash_of(attributes):
    """SHA-256 of the images, embeddings, weights or curvature in an artifact; None for others, or none at all."""
    attributes = attributes or {}
    # features and trajectories, which are Zarr stores, name the weights that they were made with
    return attributes.get("sha256") or (attributes.get("weights") if "files" in attributes else None)


def consolidated(path):
    """{array: metadata} of a Zarr store, from the group's own file.

    Raises:
        DamagedArtifact: there is none.
    """
    found = _read_json(path, marker_path(path)).get("consolidated_metadata") or {}
    if "metadata" not in found:
        raise DamagedArtifact(f"{marker_path(path)} holds no metadata of its arrays; delete {path} and rerun")
    return found["metadata"]


def read_attributes(path):
    """An artifact's attributes, or None where it does not exist or carries none.

    Raises:
        DamagedArtifact: they are damaged.
        WaypointError: they are something else's.
    """
    if not Path(path).exists():
        return None
    try:
        found = _read_json(path, marker_path(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return attributes_of(path, found)


def attributes_of(path, found):
    """An artifact's attributes in what its marker holds.

    Raises:
        DamagedArtifact: one of them is no JSON, and should be.
        WaypointError: it is something else's, or an earlier version's.
    """
    try:
        found = given(found.get("attributes", {})) if Path(path).suffix == ".zarr" else found
    except ValueError as error:
        raise DamagedArtifact(f"{marker_path(path)} is damaged ({error}); delete {path} and rerun") from error
    if "spec" not in found:
        raise WaypointError(f"{path} was not made by this workflow; move it away, or use another store")
    if "versions" in found["spec"]:
        raise WaypointError(
            f"{path} was made by an earlier version of Waypoint. `make adopt CONFIG=...` takes over the images and "
            "models of its experiment; or use another experiment name"
        )
    return found


def _read_json(path, file):
    try:
        found = json.loads(file.read_text())
    except ValueError as error:
        raise DamagedArtifact(f"{file} is damaged ({error}); delete {path} and rerun") from error
    if not isinstance(found, dict):
        raise DamagedArtifact(f"{file} is damaged (it holds no mapping); delete {path} and rerun")
    return found
