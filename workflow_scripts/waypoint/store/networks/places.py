"""Where a model lies on this machine: its folder or file, one of a package, or the snapshot of a hub cache's root."""

from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.networks.packages import package_path


def local_place(path: str, what: str = "checkpoint") -> str:
    """The folder or file that ``path`` means; a hub id is returned as it is.

    Args:
        what: whose path it is, for errors.

    Raises:
        WaypointError: a package that has no such file; a root of the hub's cache that does not say which revision.
    """
    place = Path(package_path(path, what))
    if not Path(place, "snapshots").is_dir():
        return str(package_path(path, what))
    main = Path(place, "refs", "main")
    if main.is_file() and Path(place, "snapshots", main.read_text().strip()).is_dir():
        return str(Path(place, "snapshots", main.read_text().strip()))
    revisions = sorted(folder.name for folder in Path(place, "snapshots").iterdir() if folder.is_dir())
    if len(revisions) == 1:
        return str(Path(place, "snapshots", revisions[0]))
    raise WaypointError(
        f"{what} {path} is a repository in the hub's cache whose refs/main names none of its {len(revisions)} "
        f"revisions; name one: {Path(path, 'snapshots', revisions[0] if revisions else '…')}"
    )


def may_be_hub_id(path: str) -> bool:
    """Whether a path that does not exist can be owner/name at the hub."""
    return not path.startswith(("package:", ".", "/", "~", "$")) and path.count("/") == 1
