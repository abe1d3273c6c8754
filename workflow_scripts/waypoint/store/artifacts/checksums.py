"""Checksums of folders and files other than Zarr stores, so that a damaged or lost file is never read."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.fingerprint import file_hash
from waypoint.store.artifacts.provenance import MARKER, marker_path, read_attributes
from waypoint.store.types import Attributes, StrPath

NOT_COUNTED = ".csv"  # loss curves beside models: only contact sheets draw them, and people may edit them


def checksums(path: StrPath) -> dict[str, str]:
    """Return the SHA-256 of a file, or of every file in a folder that is ever read, by name."""
    path = Path(path)
    if path.is_file():
        return {path.name: file_hash(path)}
    files = (file for file in sorted(path.rglob("*")) if file.is_file())
    by_name = {str(file.relative_to(path)): file for file in files if file.suffix != NOT_COUNTED}
    return {name: file_hash(file) for name, file in by_name.items() if name not in (MARKER, ".snakemake_timestamp")}


def write_marker(folder: StrPath, attributes: Attributes) -> None:
    """Write the marker of a finished folder: its attributes, and the checksums of its files."""
    text = json.dumps({**attributes, "files": checksums(folder)}, indent=2)
    Path(folder, MARKER).write_text(text + "\n")


def rewrite_marker(folder: StrPath, attributes: Attributes) -> None:
    """Replace the attributes of a finished folder atomically."""
    marker = Path(folder, MARKER)
    tmp = marker.with_name(f"{MARKER}.tmp-{os.getpid()}")
    tmp.write_text(json.dumps(attributes, indent=2) + "\n")
    os.replace(tmp, marker)


def require_intact(path: StrPath) -> None:
    """Refuse a folder or file that has changed since it was written; users' own files have no checksums and pass.

    Raises:
        WaypointError: names the file that was changed or lost, and what to do.
    """
    attributes = read_attributes(path) if marker_path(path).exists() else None
    if attributes is not None:
        require_checksums(path, attributes.get("files", {}))


def require_checksums(path: StrPath, files: Mapping[str, str]) -> None:
    """Refuse a folder or file whose contents do not match their checksums.

    Args:
        files: SHA-256 by name, as returned by ``checksums``.

    Raises:
        WaypointError: names the file that was changed or lost, and what to do.
    """
    present = checksums(path) if files else {}
    for name, sha256 in files.items():
        if sha256 != present.get(name):
            source = path if Path(path).is_file() else Path(path, name)
            fault = "is missing" if name not in present else "is damaged (its checksum does not match)"
            raise WaypointError(f"{source} {fault}; delete {path} and rerun")
