"""Which networks are known, judged from their configuration alone, without a model library."""

from waypoint.errors import WaypointError
from waypoint.science.types import Settings

KNOWN = ("UNet2DModel", "UNet2DConditionModel")


def require_known(config: Settings) -> str:
    """The class name of a stored network.

    Args:
        config: its config.json, as a mapping; one without a name is a UNet2DModel's.

    Raises:
        WaypointError: another network.
    """
    name = config.get("_class_name", KNOWN[0])
    if name not in KNOWN:
        raise WaypointError(f"network {name} is not supported; {' and '.join(KNOWN)} are")
    return name
