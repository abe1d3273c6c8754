"""Messages that list the first ten faults of a kind, and how many there are."""

from collections.abc import Iterable, Sequence

from waypoint.errors import WaypointError

SHOWN = 10


def some(items: Iterable[object], joined: str = ", ") -> str:
    """The first ten of several items as a text, and how many more there are."""
    texts = [str(item) for item in items]
    more = f"{joined}and {len(texts) - SHOWN:,} more" if len(texts) > SHOWN else ""
    return joined.join(texts[:SHOWN]) + more


def refuse(where: str, faults: Sequence[str]) -> None:
    """Raise an error if there are faults.

    Args:
        where: begins the message: the key and the file. faults: one clause each.

    Raises:
        WaypointError: lists the first ten faults, and how many there are.
    """
    if len(faults) == 1:
        raise WaypointError(f"{where}: {faults[0]}")
    if faults:
        raise WaypointError(f"{where} has {len(faults):,} faults: {some(faults, '; ')}")
