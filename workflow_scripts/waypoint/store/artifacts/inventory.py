"""Lists the artifacts in an experiment's folder and checks each for damage."""

import os
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.checksums import require_intact
from waypoint.store.artifacts.completeness import missing_part
from waypoint.store.artifacts.provenance import marker_path, read_attributes
from waypoint.store.artifacts.replaced import FOLDER
from waypoint.store.types import StrPath

OTHERS = (FOLDER, "resume", "logs", "shards", "explorer")  # folders without finished stores
FOLDERS = ("encoders/*", "checkpoints/*/*", "evaluation/classifiers/*", "explorer")
FILES = ("tables/*", "figures/**/*", "checkpoints/subset/models.json")


def artifacts(root: StrPath) -> list[Path]:
    """Return the sorted paths of all artifacts below ``root``: Zarr stores, folders, and files with a marker."""
    root = Path(root)
    paths = {path for path in root.rglob("*.zarr") if path.relative_to(root).parts[0] not in OTHERS}
    paths |= {path for pattern in FOLDERS for path in root.glob(pattern) if path.is_dir()}
    paths |= {path for pattern in FILES for path in root.glob(pattern) if path.is_file()}
    nested = {path for path in paths if any(parent in paths for parent in path.parents)}
    hidden = {path for path in paths if path.name.startswith(".") or ".tmp-" in path.name}
    return sorted(paths - nested - hidden)


def damage(path: StrPath) -> str | None:
    """Describe the first fault of an artifact; None if every file is present and matches its checksum."""
    from waypoint.store.zarr.reader import open_store, verify

    try:
        attributes = read_attributes(path)
        if attributes is None:
            return f"{path}: its marker {marker_path(path).name} is missing"
        if missing := missing_part(path, attributes):
            return f"{path}: {missing} is missing"
        if Path(path).suffix == ".zarr":
            for _, array in open_store(path).arrays():
                verify(array)
        else:
            require_intact(path)
    except WaypointError as error:
        return str(error)
    return None


def remove_empty_folders(folder: Path, root: Path) -> None:
    """Remove a folder below ``root`` if it no longer holds results, and the parents that this leaves empty."""
    while folder != root and not any(file.name != "zarr.json" for file in folder.iterdir()):
        (folder / "zarr.json").unlink(missing_ok=True)  # says only that there are stores below
        folder.rmdir()
        folder = folder.parent


def size(path: StrPath) -> int:
    """Return the size of an artifact in bytes."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())
