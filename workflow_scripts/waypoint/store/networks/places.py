"""Local paths of models: a folder or file, one in a package, or a snapshot in the hub's cache."""

from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.networks.packages import package_path

MODEL = ("unet", "unet_ema", "config.json", "model_index.json")  # in a model's folder, never in a cached repository's


def local_place(path: str, kind: str = "checkpoint") -> str:
    """Return the folder or file that ``path`` refers to; a hub id is returned as it is.

    Args:
        kind: the kind of model, for errors.

    Raises:
        WaypointError: a package has no such file, or a repository in the hub's cache does not tell which revision.
    """
    place = Path(package_path(path, kind))
    if not _is_cached_repository(place):
        return str(package_path(path, kind))
    main = Path(place, "refs", "main")
    if main.is_file() and Path(place, "snapshots", main.read_text().strip()).is_dir():
        return str(Path(place, "snapshots", main.read_text().strip()))
    revisions = sorted(folder.name for folder in Path(place, "snapshots").iterdir() if folder.is_dir())
    if len(revisions) == 1:
        return str(Path(place, "snapshots", revisions[0]))
    raise WaypointError(
        f"{kind} {path} is a repository in the hub's cache whose refs/main names none of its {len(revisions)} "
        f"revisions; name one: {Path(path, 'snapshots', revisions[0] if revisions else '…')}"
    )


def _is_cached_repository(place: Path) -> bool:
    """Return whether a folder is a repository in the hub's cache, and no model that has ``snapshots`` of its own."""
    named = any(name.startswith("models--") for name in (place.absolute().name, place.resolve().name))
    cached = any((place / name).is_dir() for name in ("refs", "blobs"))
    return named and cached and (place / "snapshots").is_dir() and not any((place / name).exists() for name in MODEL)


def may_be_hub_id(path: str) -> bool:
    """Return whether a path that does not exist can be owner/name on the hub."""
    return not path.startswith(("package:", ".", "/", "~", "$")) and path.count("/") == 1
