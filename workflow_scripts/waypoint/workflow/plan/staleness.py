"""Nothing stale is ever used: checks at planning time, before any job.

Snakemake's own records lie in the working directory. Another user, or a fresh clone on the same store, has
none, and would take artifacts of other settings for up to date. So each artifact's own attributes are
compared with the configuration.
"""

from waypoint.errors import WaypointError
from waypoint.store.artifacts.fingerprint import content_hash, quick_look
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.workflow.plan.specs import disagreement, stale_message


def refuse_stale(path, expected):
    """Refuse an existing artifact whose spec differs from the configuration's.

    Raises:
        WaypointError: names key, values, artifact, and what to do.
    """
    found = read_attributes(path)
    if found is None:
        return
    difference = disagreement(found["spec"], expected, exact=True)
    if difference:
        raise WaypointError(stale_message(path, *difference))


def refuse_changed_source(path, sources):
    """Refuse raw data or models that are no longer what the artifact was read from; a mere touch is no change.

    Args:
        sources: files and folders that the artifact recorded as its ``source`` (``store.artifacts.fingerprint``).

    Raises:
        WaypointError: the content of a source differs from its recorded hash.
    """
    found = read_attributes(path)
    if found is None or not sources or not found.get("source"):
        return
    if quick_look(sources) == found["source"]["look"] or content_hash(sources) == found["source"]["sha256"]:
        return
    raise WaypointError(
        f"{', '.join(map(str, sources))} changed since {path} was read from it. "
        f"Use another experiment name, or delete {path} to have everything made again."
    )
