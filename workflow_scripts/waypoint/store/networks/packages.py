"""Files that come with an installed Python package: ``package:name/path/in/it``."""

import importlib.util
from pathlib import Path

from waypoint.errors import WaypointError

PREFIX = "package:"


def package_path(path, what):
    """The file or folder that ``path`` means; without the prefix ``path`` itself. The package is not imported.

    Args:
        what: whose path it is, for errors.

    Raises:
        WaypointError: the package is not installed, or has no such file.
    """
    if not str(path).startswith(PREFIX):
        return str(path)
    package, _, inside = str(path).removeprefix(PREFIX).partition("/")
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # a part of a package that is not there; no name at all
        found = None
    if found is None or not found.submodule_search_locations:
        raise WaypointError(f"{what}: the Python package {package} is not installed; install it")
    file = Path(found.submodule_search_locations[0], inside)
    if not file.exists():
        raise WaypointError(f"{what}: the Python package {package} has no {inside}")
    return str(file)
