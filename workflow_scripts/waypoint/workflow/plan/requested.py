"""Refuses paths on the command line whose target or method the configuration does not name."""

import difflib
import re

from waypoint.errors import WaypointError
from waypoint.workflow.evaluations.registry import EVALUATIONS

TARGET, METHOD = r"(?P<target>[^/]+)", r"(?P<method>[^/]+)"
WITH_TARGET = [
    re.compile(pattern)
    for pattern in (
        rf"targets/{TARGET}/.*",
        rf"scores/{METHOD}/{TARGET}\.zarr",
        rf"figures/{TARGET}/[^/]+\.png",
        rf"figures/{TARGET}/explorer\.html",
    )
]
WITH_TARGET += [
    re.compile(re.escape(place).replace(r"\{target\}", TARGET).replace(r"\{method\}", METHOD))
    for one in EVALUATIONS.values()
    for place in one.places
]
NEAREST = 3  # names that a message offers


def require_known(plan, paths):
    """Refuse requested paths of targets and methods that the configuration does not name.

    Args:
        plan: a ``Plan``. paths: as on the command line; names of rules and paths elsewhere are passed over.

    Raises:
        WaypointError: names the target or method, and those whose names are nearest.
    """
    known = {"target": [*plan.sampled], "method": [*plan.instances, "random", "none"]}
    for path in paths:
        name = str(path).partition(f"{plan.root}/")[2]
        match = next(filter(None, (pattern.fullmatch(name) for pattern in WITH_TARGET)), None)
        for kind, value in match.groupdict().items() if match else ():
            if value is not None and value not in known[kind]:
                raise WaypointError(f"{path}: the configuration has no {kind} {value}; {nearest(value, known[kind])}")


def nearest(name, known):
    """The names that are most like another, in words."""
    return f"the nearest are {', '.join(difflib.get_close_matches(name, known, NEAREST, cutoff=0.0))}"
