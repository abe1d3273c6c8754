"""Messages that list the first ten faults of a kind and count the rest."""

from collections.abc import Iterable, Sequence

from waypoint.errors import WaypointError

SHOWN = 10


def some(items: Iterable[object], separator: str = ", ") -> str:
    """Return a text with the first ten items, and how many more there are."""
    texts = [str(item) for item in items]
    more = f"{separator}and {len(texts) - SHOWN:,} more" if len(texts) > SHOWN else ""
    return separator.join(texts[:SHOWN]) + more


def refuse(context: str, faults: Sequence[str]) -> None:
    """Raise an error if there are faults.

    Args:
        context: begins the message: the key and the file. faults: one clause each.

    Raises:
        WaypointError: lists the first ten faults, and how many there are.
    """
    if len(faults) == 1:
        raise WaypointError(f"{context}: {faults[0]}")
    if faults:
        raise WaypointError(f"{context} has {len(faults):,} faults: {some(faults, '; ')}")
