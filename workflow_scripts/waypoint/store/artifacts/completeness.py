"""Finds files that a finished artifact has lost, without reading it."""

import math
import os
from pathlib import Path

from waypoint.store.artifacts.provenance import consolidated
from waypoint.store.types import Attributes, StrPath


def missing_part(path: StrPath, attributes: Attributes) -> str | None:
    """The first file that an artifact lacks, or None where nothing is missing.

    Args:
        path: a Zarr store, a folder or a file with a marker. attributes: as of ``provenance.read_attributes``.
    """
    path = Path(path)
    if path.suffix == ".zarr":
        return next((name for array, meta in consolidated(path).items() if (name := _missing(path, array, meta))), None)
    if "files" not in attributes:
        return None
    folder = path if path.is_dir() else path.parent
    return next((name for name in attributes["files"] if not os.path.exists(folder / name)), None)


def _missing(path: Path, array: str, meta: Attributes) -> str | None:
    """The part that an array of a Zarr store lacks: its metadata or a chunk."""
    if not os.path.exists(path / array / "zarr.json"):
        return f"{array}/zarr.json"
    if meta["node_type"] != "array":
        return None
    grid = meta["chunk_grid"]["configuration"]["chunk_shape"]
    expected = math.prod(-(-length // chunk) for length, chunk in zip(meta["shape"], grid))
    present = _files(path / array / "c") if meta["shape"] else os.path.exists(path / array / "c")
    return None if present >= expected else f"a chunk of {array}"


def _files(folder: StrPath) -> int:
    """Number of chunks below a folder."""
    try:
        with os.scandir(folder) as entries:
            return sum(_files(entry.path) if entry.is_dir() else ".partial" not in entry.name for entry in entries)
    except FileNotFoundError:
        return 0
