"""The one exception whose message is meant for a person."""


class WaypointError(Exception):
    """Something the user can act on; the message names the key, file or item and what to do."""
