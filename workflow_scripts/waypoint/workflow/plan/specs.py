"""Comparing specs: an input's with its reader's, an artifact's with the configuration's."""

from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.workflow.config.schema import join

ABSENT = "nothing"
# sections that hold more and more keys along the DAG, or stand for one checkpoint here and for all there
GROWING = {
    "attribution",
    "checkpoint",
    "classifier",
    "controls",
    "counterfactual",
    "forgetting",
    "lds",
    "samples",
    "target",
    "vae",
    "versions",
}


def disagreement(stored, expected, where="", exact=False):
    """The first key on which two specs differ: (key, stored, expected) or None.

    An input's spec is part of its reader's, so there only sections that both have count; ``exact`` compares an
    artifact with its own stage's spec, where a key that one of them lacks is a difference.
    """
    keys = stored.keys() | expected.keys() if exact else stored.keys() & expected.keys()
    for key in sorted(keys):
        a, b = stored.get(key, ABSENT), expected.get(key, ABSENT)
        if isinstance(a, dict) and isinstance(b, dict):
            found = disagreement(a, b, join(where, key), exact or key not in GROWING)
            if found:
                return found
        elif a != b:
            return join(where, key), a, b
    return None


def require_agreement(path, expected):
    """Refuse an artifact that was made with other settings, or by another version of a stage.

    Raises:
        WaypointError: names the key, both values, the artifact, and what to do.
    """
    found = read_attributes(path)
    if found is None:
        raise WaypointError(f"{path}: no artifact of Waypoint is there; rerun the rule that makes it")
    difference = disagreement(found["spec"], expected)
    if difference:
        raise WaypointError(stale_message(path, *difference))


def stale_message(path, key, stored, wanted):
    """What to tell someone whose settings differ from an artifact's."""
    what = f"stage version {key.split('.')[1]}" if key.startswith("versions.") else key
    return (
        f"{path} was made with {what} = {stored!r}, this run has {wanted!r}. "
        f"Use another experiment name, or delete {Path(path)} to have it made again "
        "(--forceall: everything that was asked for)."
    )
