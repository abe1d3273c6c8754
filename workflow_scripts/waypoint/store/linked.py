"""A finished store under a second path."""

from .arrays import create_store, open_store


def link_store(source, path, attributes):
    """The arrays of a finished store also at ``path``, under attributes of their own (a function, called last).

    Chunks are hard links, so that they take no space twice; copies where the file system has no links.

    Raises:
        WaypointError: the source is not whole.
    """
    group = open_store(source)
    with create_store(path, attributes) as store:
        for _, array in group.arrays():
            store.adopt(array)
