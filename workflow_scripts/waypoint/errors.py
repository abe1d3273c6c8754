"""The exception and the warning whose messages are meant for a person."""


class WaypointError(Exception):
    """Something the user can act on; the message names the key, file or item and what to do."""


class WaypointWarning(UserWarning):
    """Something the user may want to know; the result is right all the same."""
