"""Faults of one kind are told all at once: the first ten, and how many there are."""

from waypoint.errors import WaypointError

SHOWN = 10


def some(items, joined=", "):
    """The first ten of a list in words, and how many more there are."""
    items = [str(item) for item in items]
    more = f"{joined}and {len(items) - SHOWN:,} more" if len(items) > SHOWN else ""
    return joined.join(items[:SHOWN]) + more


def refuse(where, faults):
    """Raise what is wrong with something, if anything is.

    Args:
        where: begins the message: the key and the file. faults: one clause each.

    Raises:
        WaypointError: there are faults; tells the first ten, and how many there are.
    """
    if len(faults) == 1:
        raise WaypointError(f"{where}: {faults[0]}")
    if faults:
        raise WaypointError(f"{where} has {len(faults):,} faults: {some(faults, '; ')}")
