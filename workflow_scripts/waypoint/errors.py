"""The exception and the warning whose messages are written for the user."""


class WaypointError(Exception):
    """An error the user can fix; the message names the key, file or item and says what to do."""


class WaypointWarning(UserWarning):
    """Something the user may want to know; the result is correct nevertheless."""
