"""Checksums of folders and files that are no Zarr: what a job made is read back as it was made, or not at all."""

import hashlib
import json
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.provenance import MARKER, marker_path, read_attributes

SCRIBBLED = ".csv"  # a loss curve beside a model: nothing reads it, and people may edit it


def checksums(path):
    """{name: SHA-256} of a file, or of all files of a folder that anything reads."""
    path = Path(path)
    if path.is_file():
        return {path.name: _sha256(path)}
    files = (file for file in sorted(path.rglob("*")) if file.is_file())
    named = {str(file.relative_to(path)): file for file in files if file.suffix != SCRIBBLED}
    return {name: _sha256(file) for name, file in named.items() if name not in (MARKER, ".snakemake_timestamp")}


def write_marker(folder, attributes):
    """Write a finished folder's attributes into it, with the checksums of its files."""
    made = {**attributes, "files": checksums(folder)}
    Path(folder, MARKER).write_text(json.dumps(made, indent=2) + "\n")


def require_intact(path):
    """Refuse a folder or a file that is no longer what was written; what has no checksums is somebody's own.

    Raises:
        WaypointError: names the file that was changed or lost, and what to do.
    """
    made = read_attributes(path) if marker_path(path).exists() else None
    if made is None or "files" not in made:
        return
    found = checksums(path)
    for name, sha256 in made["files"].items():
        if sha256 != found.get(name):
            where = path if Path(path).is_file() else Path(path, name)
            what = "is missing" if name not in found else "is damaged (its checksum does not match)"
            raise WaypointError(f"{where} {what}; delete {path} and rerun")


def read_table(path):
    """A table of a job's as a DataFrame.

    Raises:
        WaypointError: it is damaged.
    """
    import pandas as pd

    require_intact(path)
    return pd.read_csv(path)


def _sha256(file):
    with open(file, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
