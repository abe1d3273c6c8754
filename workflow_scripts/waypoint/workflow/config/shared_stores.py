"""Stores to read from besides the one to write to: what others made is linked, and never written.

``store: [mine, /shared/results]`` writes to mine/{experiment}; an artifact that is missing there, or whose link leads
nowhere any more, and that /shared/results/{experiment} has as the plan asks for it, stands in mine as a symbolic link.
"""

import os
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.provenance import read_attributes


def folders(store):
    """The config key ``store`` as a list: the folder to write to, and others to read from."""
    return [store] if isinstance(store, str) else list(store)


def other_copy(name, identity, others):
    """An artifact of this identity in one of the stores to read from: its absolute path, or None.

    Args:
        name: its path within the experiment. others: {store}/{experiment} of the stores to read from.
    """
    for other in others:
        place = Path(other, name)
        try:
            found = read_attributes(place)
        except WaypointError:  # damaged, or of another kind: somebody else's business
            continue
        if found is not None and found.get("identity") == identity:
            return place.resolve()
    return None


def link(place, artifact):
    """Let ``place`` lead to somebody else's artifact; a link that leads nowhere is replaced.

    Raises:
        WaypointError: it cannot be written.
    """
    place = Path(place)
    tmp = place.with_name(f"{place.name}.tmp-link-{os.getpid()}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        tmp.symlink_to(artifact, target_is_directory=artifact.is_dir())
        os.replace(tmp, place)
    except OSError as error:
        raise WaypointError(f"config: store: {place} cannot be written ({error.strerror})") from error
