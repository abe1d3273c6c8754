"""Nothing stale is ever used: checks at planning time, before any job.

Snakemake's own records lie in the working directory. Another user, or a fresh clone on the same store, has
none, and would take artifacts of other settings for up to date. So each artifact's own attributes are
compared with the configuration.
"""

from pathlib import Path

from ..errors import WaypointError
from ..store.provenance import marker_path, read_attributes
from .plan import disagreement, stale_message


def refuse_stale(path, expected, will_rerun):
    """Refuse an existing artifact whose spec differs from the configuration's, unless it is about to be remade.

    Raises:
        WaypointError: names key, values, artifact, and what to do.
    """
    found = read_attributes(path)
    if found is None or will_rerun:
        return
    difference = disagreement(found["spec"], expected)
    if difference:
        raise WaypointError(stale_message(path, *difference))


def refuse_changed_source(path, source):
    """Refuse raw data that is no longer what the store's images were read from; a mere touch is no change.

    Raises:
        WaypointError: the content of ``source`` differs from its recorded hash.
    """
    found = read_attributes(path)
    if found is None or source is None or not found.get("raw_sha256"):
        return
    if _newest(Path(source)) <= marker_path(path).stat().st_mtime:
        return
    from ..store.datasets import raw_hash  # needs numpy, PIL

    if raw_hash(source) != found["raw_sha256"]:
        raise WaypointError(
            f"data.path: {source} has changed since {path} was read from it. "
            f"Use another experiment name, or delete {path} to have everything made again."
        )


def _newest(source):
    if source.is_file():
        return source.stat().st_mtime
    return max((entry.stat().st_mtime for entry in source.rglob("*")), default=0.0)
