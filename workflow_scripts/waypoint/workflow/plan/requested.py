"""Checks of the targets and methods in paths on the command line."""

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
    for evaluation in EVALUATIONS.values()
    for place in evaluation.places
]
NEAREST = 3  # number of names that a message suggests


def require_known(plan, paths):
    """Refuse requested paths of targets and methods that the configuration does not name.

    Args:
        plan: a ``Plan``. paths: as on the command line; rule names and paths elsewhere are ignored.

    Raises:
        WaypointError: names the target or method, and the most similar ones.
    """
    known_names = {"target": [*plan.sampled], "method": [*plan.instances, "random", "none"]}
    for path in paths:
        name = str(path).partition(f"{plan.root}/")[2]
        match = next(filter(None, (pattern.fullmatch(name) for pattern in WITH_TARGET)), None)
        for kind, value in match.groupdict().items() if match else ():
            if value is not None and value not in known_names[kind]:
                raise WaypointError(
                    f"{path}: the configuration has no {kind} {value}; {nearest(value, known_names[kind])}"
                )


def nearest(name, known_names):
    """Return a clause that lists the known names most similar to another."""
    return f"the nearest are {', '.join(difflib.get_close_matches(name, known_names, NEAREST, cutoff=0.0))}"
