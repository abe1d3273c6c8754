"""Stores to read from besides the one to write to: their artifacts are linked and never changed.

``store: [mine, /shared/results]`` writes to mine/{experiment}. If an artifact is missing there or a dangling link, and
/shared/results/{experiment} has it as planned, mine gets a symbolic link to it.
"""

import os
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.provenance import marker_path, read_attributes


def folders(store):
    """Return the key ``store`` as a list: the folder to write to, then those to read from."""
    return [store] if isinstance(store, str) else list(store)


def stored_images(config):
    """Return the path of the training images in the first store that has them, or None."""
    data_folders = [Path(store, config["experiment"], "data") for store in folders(config["store"])]
    candidates = (folder / name for folder in data_folders for name in ("train.zarr", "images.zarr"))
    return next((store for store in candidates if store.exists()), None)


def other_copy(name, identity, others):
    """Return the absolute path of an artifact with this identity in one of the stores to read from, or None.

    Args:
        name: its path within the experiment. others: {store}/{experiment} of the stores to read from.
    """
    for other in others:
        path = Path(other, name)
        try:
            attributes = read_attributes(path)
        except WaypointError:  # damaged or of another kind, which concerns that store's owner
            continue
        if attributes is not None and attributes.get("identity") == identity:
            return path.resolve()
    return None


def is_dangling(path):
    """Return whether a path is a dangling link."""
    return os.path.islink(path) and not os.path.exists(path)


def link(link_path, artifact):
    """Make ``link_path`` a link to an artifact in another store, in place of a dangling link.

    Raises:
        WaypointError: it cannot be written.
    """
    link_path = Path(link_path)
    links = {link_path: artifact}
    if artifact.is_file():  # its marker is a separate file and must exist first
        links = {marker_path(link_path): marker_path(artifact)} | links
    try:
        link_path.parent.mkdir(parents=True, exist_ok=True)
        for path, destination in links.items():
            tmp = path.with_name(f"{path.name}.tmp-link-{os.getpid()}")
            tmp.symlink_to(destination, target_is_directory=destination.is_dir())
            os.replace(tmp, path)
    except OSError as error:
        raise WaypointError(f"config: store: {link_path} cannot be written ({error.strerror})") from error
