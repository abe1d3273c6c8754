"""Stores to read from besides the one to write to: what others made is linked, and never written.

``store: [mine, /shared/results]`` writes to mine/{experiment}; whatever /shared/results/{experiment} has of the stages
below and mine has not stands in mine as a symbolic link. Snakemake then finds it made, and the usual checks compare its
settings.
"""

import contextlib
import os
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.provenance import read_attributes

# every artifact that follows from its own settings; tables and figures follow from a list of targets besides
ARTIFACTS = (
    "data/*.zarr",
    "encoders/*",
    "checkpoints/*/*",
    "features/*/*.zarr",
    "kernels/*/*.zarr",
    "targets/*/*.zarr",
    "embeddings/*.zarr",
    "scores/*/*.zarr",
    "evaluation/**/*.zarr",
    "evaluation/classifiers/*",
)


def folders(store):
    """The config key ``store`` as a list: the folder to write to, and others to read from."""
    return [store] if isinstance(store, str) else list(store)


def link_artifacts(root, others):
    """Link what stores to read from have and the one to write to has not; the first that has something gives it.

    Args:
        root: {store}/{experiment} to write to. others: the same of stores to read from.

    Raises:
        WaypointError: the first one cannot be written.
    """
    for other in map(Path, others):
        for artifact in (path for pattern in ARTIFACTS for path in sorted(other.glob(pattern))):
            place = Path(root, artifact.relative_to(other))
            if ".tmp-" in artifact.name or read_attributes(artifact) is None or os.path.lexists(place):
                continue
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):  # another run was faster
                    place.symlink_to(artifact.resolve(), target_is_directory=artifact.is_dir())
                # as old as what it stands for, or everything that follows would seem out of date
                stamp = artifact / ".snakemake_timestamp"
                made = (stamp if stamp.exists() else artifact).stat().st_mtime_ns
                os.utime(place, ns=(made, made), follow_symlinks=False)
            except OSError as error:
                raise WaypointError(f"config: store: {place} cannot be written ({error.strerror})") from error
