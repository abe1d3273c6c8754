"""Files that come with an installed Python package: ``package:name/path/in/it``."""

import importlib.util
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.types import StrPath

PREFIX = "package:"


def package_path(path: StrPath, kind: str) -> str:
    """Return the file or folder in a package that ``path`` names, without importing it, or any other path as it is.

    Args:
        kind: what the path is for, in errors.

    Raises:
        WaypointError: the package is not installed, or has no such file.
    """
    if not str(path).startswith(PREFIX):
        return str(path)
    package, _, inside = str(path).removeprefix(PREFIX).partition("/")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # a submodule of no package, or an empty name
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise WaypointError(f"{kind}: the Python package {package} is not installed; install it")
    file = Path(spec.submodule_search_locations[0], inside)
    if not file.exists():
        raise WaypointError(f"{kind}: the Python package {package} has no {inside}")
    return str(file)
