"""Checksums of folders and files that are no Zarr: what a job made is read back as it was made, or not at all."""

import json
import os
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.fingerprint import file_hash
from waypoint.store.artifacts.provenance import MARKER, marker_path, read_attributes

SCRIBBLED = ".csv"  # a loss curve beside a model: nothing reads it, and people may edit it


def checksums(path):
    """{name: SHA-256} of a file, or of all files of a folder that anything reads."""
    path = Path(path)
    if path.is_file():
        return {path.name: file_hash(path)}
    files = (file for file in sorted(path.rglob("*")) if file.is_file())
    named = {str(file.relative_to(path)): file for file in files if file.suffix != SCRIBBLED}
    return {name: file_hash(file) for name, file in named.items() if name not in (MARKER, ".snakemake_timestamp")}


def write_marker(folder, attributes):
    """Write a finished folder's attributes into it, with the checksums of its files."""
    made = {**attributes, "files": checksums(folder)}
    Path(folder, MARKER).write_text(json.dumps(made, indent=2) + "\n")


def rewrite_marker(folder, attributes):
    """Give a finished folder other attributes, at once or not at all."""
    marker = Path(folder, MARKER)
    tmp = marker.with_name(f"{MARKER}.tmp-{os.getpid()}")
    tmp.write_text(json.dumps(attributes, indent=2) + "\n")
    os.replace(tmp, marker)


def require_intact(path):
    """Refuse a folder or a file that is no longer what was written; what has no checksums is somebody's own.

    Raises:
        WaypointError: names the file that was changed or lost, and what to do.
    """
    made = read_attributes(path) if marker_path(path).exists() else None
    if made is not None:
        require_checksums(path, made.get("files", {}))


def require_checksums(path, files):
    """Refuse a folder or a file whose files are not those of ``files``, {name: SHA-256}.

    Raises:
        WaypointError: names the file that was changed or lost, and what to do.
    """
    found = checksums(path) if files else {}
    for name, sha256 in files.items():
        if sha256 != found.get(name):
            where = path if Path(path).is_file() else Path(path, name)
            what = "is missing" if name not in found else "is damaged (its checksum does not match)"
            raise WaypointError(f"{where} {what}; delete {path} and rerun")
