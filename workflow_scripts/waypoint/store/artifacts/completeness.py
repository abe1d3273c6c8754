"""Finds files that a finished artifact has lost, without reading it."""

import math
import os
from pathlib import Path

from waypoint.store.artifacts.provenance import consolidated
from waypoint.store.types import Attributes, StrPath


def missing_part(path: StrPath, attributes: Attributes) -> str | None:
    """Return the first file that an artifact lacks, or None if nothing is missing.

    Args:
        path: a Zarr store, or a folder or file with a marker. attributes: from ``provenance.read_attributes``.
    """
    path = Path(path)
    if path.suffix == ".zarr":
        return next((name for array, meta in consolidated(path).items() if (name := _missing(path, array, meta))), None)
    if "files" not in attributes:
        return None
    folder = path if path.is_dir() else path.parent
    return next((name for name in attributes["files"] if not os.path.exists(folder / name)), None)


def _missing(path: Path, array: str, meta: Attributes) -> str | None:
    """Return the part that an array of a Zarr store lacks, its metadata or a chunk, or None."""
    if not os.path.exists(path / array / "zarr.json"):
        return f"{array}/zarr.json"
    if meta["node_type"] != "array":
        return None
    grid = meta["chunk_grid"]["configuration"]["chunk_shape"]
    expected = math.prod(-(-length // chunk) for length, chunk in zip(meta["shape"], grid))
    present = _count_chunks(path / array / "c") if meta["shape"] else os.path.exists(path / array / "c")
    return None if present >= expected else f"a chunk of {array}"


def _count_chunks(folder: StrPath) -> int:
    """Count the chunks below a folder."""
    try:
        with os.scandir(folder) as entries:
            return sum(
                _count_chunks(entry.path) if entry.is_dir() else ".partial" not in entry.name for entry in entries
            )
    except FileNotFoundError:
        return 0
