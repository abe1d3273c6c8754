"""What made an artifact: its spec, the stage's version, packages, commit, device and the run's figures."""

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


class Provenance:
    """Collects an artifact's attributes; call it at the end of the job."""

    def __init__(self, stage, spec, device="cpu"):
        self.stage, self.spec, self.device = stage, spec, device
        self.started = time.time()

    def __call__(self, **extra):
        """The attributes as a JSON-serialisable dict; ``extra`` adds stage-specific ones."""
        return {
            "stage": self.stage,
            "spec": self.spec,
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


def read_attributes(path):
    """An artifact's attributes, or None where it does not exist or carries none.

    Raises:
        WaypointError: they are damaged, or something else's.
    """
    if not Path(path).exists():
        return None
    try:
        found = json.loads(marker_path(path).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise WaypointError(f"{marker_path(path)} is damaged ({error}); delete {path} and rerun") from error
    found = found.get("attributes", {}) if Path(path).suffix == ".zarr" else found
    if "spec" not in found:
        raise WaypointError(f"{path} was not made by this workflow; move it away, or use another store")
    return found
