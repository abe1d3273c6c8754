"""Provenance of an artifact: spec, version of the stage, packages, commit, device, run time and memory."""

import importlib.metadata
import json
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.types import Attributes, StrPath
from waypoint.store.zarr.attributes import as_given

PACKAGES = (
    "numpy",
    "scipy",
    "zarr",
    "torch",
    "torchvision",
    "diffusers",
    "peft",
    "transformers",
    "timm",
    "scikit-learn",
    "matplotlib",
)
MARKER = "waypoint.json"


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return versions


def _commit() -> str | None:
    """Return the checkout's commit, with '+' if tracked files differ from it; None outside git."""
    folder = Path(__file__).parent
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        return None
    return run.stdout.strip() or None


def peak_memory() -> int:
    """Return the peak memory of this process in bytes; ru_maxrss would include the peak of its parent process."""
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
    if peak:
        return int(peak[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)


class DamagedArtifact(WaypointError):
    """An artifact whose metadata or marker is missing or unreadable."""


class Provenance:
    """Collects an artifact's attributes; call it at the end of the job.

    Attributes:
        reads: SHA-256 of the images, embeddings and weights that the job has read so far, directly or through its
            inputs, by the artifact that contains them.
    """

    def __init__(self, stage: str, spec: Attributes, identity: str, device: str = "cpu"):
        self.stage, self.spec, self.identity, self.device = stage, spec, identity, device
        self.reads: dict[str, str] = {}
        self.started = time.time()

    def has_read(self, name: str, attributes: Attributes) -> None:
        """Record the hash of an artifact that was read or, if it has none, the hashes that it recorded itself."""
        content = content_hash_of(attributes)
        self.reads |= attributes.get("reads", {}) if content is None else {name: content}

    def origin(self) -> dict[str, object]:
        """Return everything the artifact depends on: stage, spec, identity and the hashes of its inputs."""
        reads = dict(sorted(self.reads.items()))
        return {"stage": self.stage, "spec": self.spec, "identity": self.identity, "reads": reads}

    def __call__(self, **extra: object) -> dict[str, object]:
        """Return the attributes as a JSON-serialisable dict; ``extra`` adds those of the stage."""
        return {
            **self.origin(),
            "packages": _versions(),
            "commit": _commit(),
            "device": self.device,
            "seconds": round(time.time() - self.started, 2),
            "peak_memory_mb": peak_memory() >> 20,
            **extra,
        }


def marker_path(path: StrPath) -> Path:
    """Return the path of an artifact's attributes: Zarr metadata, a folder's marker, or a file beside a file."""
    path = Path(path)
    if path.suffix == ".zarr":
        return path / "zarr.json"
    # the name of a model's folder may contain a dot, as part of a fraction of removed images
    return path.with_name(f".{path.name}.json") if path.suffix and not path.is_dir() else path / MARKER


def content_hash_of(attributes: Attributes | None) -> str | None:
    """Return the SHA-256 of an artifact's images, embeddings, weights or curvature; None if it has no such content."""
    attributes = attributes or {}
    # features and trajectories are Zarr stores, whose ``weights`` are those of the model that made them
    return attributes.get("sha256") or (attributes.get("weights") if "files" in attributes else None)


def consolidated(path: StrPath) -> Mapping[str, Attributes]:
    """Read the metadata of a Zarr store's arrays, by name, from the group's file.

    Raises:
        DamagedArtifact: there is none.
    """
    metadata: Attributes = _read_json(path, marker_path(path)).get("consolidated_metadata") or {}
    if "metadata" not in metadata:
        raise DamagedArtifact(f"{marker_path(path)} holds no metadata of its arrays; delete {path} and rerun")
    return metadata["metadata"]


def read_attributes(path: StrPath) -> Attributes | None:
    """Read an artifact's attributes; None if it does not exist or has none.

    Raises:
        DamagedArtifact: the file of attributes is damaged.
        WaypointError: another program or an earlier version made it.
    """
    if not Path(path).exists():
        return None
    try:
        marker = _read_json(path, marker_path(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return attributes_of(path, marker)


def attributes_of(path: StrPath, marker: Attributes) -> Attributes:
    """Extract an artifact's attributes from the contents of its marker file.

    Raises:
        DamagedArtifact: an attribute that should be JSON is not.
        WaypointError: another program or an earlier version made it.
    """
    try:
        attributes = as_given(marker.get("attributes", {})) if Path(path).suffix == ".zarr" else marker
    except ValueError as error:
        raise DamagedArtifact(f"{marker_path(path)} is damaged ({error}); delete {path} and rerun") from error
    if "spec" not in attributes:
        raise WaypointError(f"{path} was not made by this workflow; move it away, or use another store")
    if "versions" in attributes["spec"]:
        raise WaypointError(
            f"{path} was made by an earlier version of Waypoint. `make adopt CONFIG=...` takes over the images and "
            "models of its experiment; or use another experiment name"
        )
    return attributes


def _read_json(path: StrPath, file: Path) -> Attributes:
    try:
        contents: Attributes | list[object] | None = json.loads(file.read_text())
    except ValueError as error:
        raise DamagedArtifact(f"{file} is damaged ({error}); delete {path} and rerun") from error
    if not isinstance(contents, dict):
        raise DamagedArtifact(f"{file} is damaged (it holds no mapping); delete {path} and rerun")
    return contents
