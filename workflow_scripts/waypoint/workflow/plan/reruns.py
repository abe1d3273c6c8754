"""Decision on reruns by comparing the plan with the attributes of stored artifacts.

Neither file dates nor records of a working directory count. An artifact is made again if

- it is damaged: its metadata, its marker or a part of it is missing or unreadable;
- its identity differs: a setting, a stage's version or any of its inputs has changed;
- the images, embeddings or weights that it recorded reading have changed;
- the content of the raw data or the existing model that it was read from has changed.

A plan that would replace trained models, features or stored images stops before its first job (``start``).
"""

import json
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePath

from waypoint.errors import WaypointError
from waypoint.store.artifacts.completeness import missing_part
from waypoint.store.artifacts.provenance import DamagedArtifact, content_hash_of, marker_path, read_attributes
from waypoint.store.artifacts.source_files import changed_source
from waypoint.workflow.plan.specs import as_read, differences

GUARDED = {  # {folder of costly artifacts: their name in messages}
    "data": "stored images",
    "encoders": "encoders",
    "checkpoints": "models",
    "curvature": "curvatures",
    "features": "train features",
    "fisher": "Fisher rows",
    "embeddings": "embeddings",
}
CHEAP = ("data/near_duplicates.zarr",)  # artifacts in these folders that are replaced without asking
TO_LOOK_AT = ("figures", "tables")  # folders of artifacts that take seconds
FROM_RAW = ("prepare_data",)  # stages that read raw data, which may be deleted once stored
DAMAGED = "its attributes are damaged"
ONE = {"encoders": "encoder", "models": "model", "curvatures": "curvature"}  # {plural: singular}
SHOWN = 5  # number of artifacts that a message names


@dataclass
class Stale:
    """An artifact that will be made again.

    Attributes:
        name: its path within the experiment. why: the reason, one clause.
        seconds: how long it took to make. replaced: whether an intact artifact would be replaced.
        changes: the changed settings or contents because of which an intact artifact would be replaced.
        spreads: whether its content changes without a change of settings, so that everything made from it is stale too.
        read: the input whose content has changed since this artifact read it.
    """

    name: str
    why: str
    seconds: float = 0.0
    replaced: bool = False
    changes: list = field(default_factory=list)
    spreads: bool = False
    read: str | None = None


class LocalStore:
    """An experiment's artifacts on a file system.

    Args:
        root: {store}/{experiment}, as in the paths of jobs.
    """

    def __init__(self, root):
        self.root, self._hashes = root, {}

    def name(self, path):
        """Return a path relative to the experiment, or None if it is outside."""
        _, inside, name = str(path).partition(f"{self.root}/")
        return name if inside else None

    def fetch(self, paths):
        """Do nothing: local files are read on demand."""

    def attributes(self, path):
        """Return an artifact's attributes, or None if it does not exist.

        Raises:
            DamagedArtifact: its marker is missing or cannot be read.
        """
        attributes = read_attributes(path)
        if attributes is None and os.path.exists(path):
            raise DamagedArtifact(f"{marker_path(path)} is missing")
        return attributes

    def missing_part(self, path, attributes):
        """Return the first missing file of an artifact, or None."""
        return missing_part(path, attributes)

    def content(self, path, name):
        """Return the hash of the images, embeddings or weights in ``name``, or None if it does not exist.

        Args:
            path: the path of any artifact of the experiment.
        """
        if name not in self._hashes:
            before = str(path).partition(f"{self.root}/")[0]
            try:
                self._hashes[name] = content_hash_of(self.attributes(f"{before}{self.root}/{name}"))
            except WaypointError:  # damaged: it is made again for that reason
                self._hashes[name] = None
        return self._hashes[name]


def examine(store, path, expected, sources=()):
    """Compare an existing artifact with the plan.

    Args:
        store: ``LocalStore``, or another class with its methods. expected: {"spec", "identity"} of ``Plan.asked``.
        sources: files and folders outside the store that the artifact was read from.

    Returns:
        ``Stale``, or None if the artifact is current or missing.

    Raises:
        WaypointError: it was not made by Waypoint, or by an earlier version.
    """
    name = store.name(path)
    try:
        attributes = store.attributes(path)
    except DamagedArtifact as error:
        return Stale(name, re.sub("; delete .* and rerun$", "", str(error)))  # which this run does
    if attributes is None:
        return None
    if missing := store.missing_part(path, attributes):
        return Stale(name, f"{missing} is missing")
    if not {"identity", "reads"} <= attributes.keys():
        return Stale(name, DAMAGED)
    # a link leads to an artifact in another store, which remains unchanged
    stale = Stale(name, "", attributes.get("seconds", 0.0), not os.path.islink(path))
    record = attributes.get("source")
    if attributes["spec"] != expected["spec"] and as_read(attributes["spec"]) == as_read(expected["spec"]):
        # made by an earlier stage version, which lacks things that its readers do not compare
        if record and not sources and expected["stage"] in FROM_RAW:  # the raw data are gone
            return None
        if changed := changed_source(record, sources):
            stale.why, stale.changes, stale.spreads = changed, [changed], True
        else:
            stale.why = str(differences(attributes["spec"], expected["spec"])[0])
    elif attributes["identity"] != expected["identity"]:
        stale.changes = differences(attributes["spec"], expected["spec"])
        stale.why = "; ".join(dict.fromkeys(map(str, stale.changes))) or "its inputs have changed"
    elif attributes["spec"] != expected["spec"]:  # though the identity is the same
        return Stale(name, DAMAGED)
    elif changed := changed_source(record, sources):
        stale.why, stale.changes, stale.spreads = changed, [changed], True
    else:
        changed_inputs = (
            name for name, sha256 in attributes["reads"].items() if store.content(path, name) not in (sha256, None)
        )
        if (changed_input := next(changed_inputs, None)) is None:
            return None
        stale.why = f"{changed_input} has another content than when it was read"
        stale.changes, stale.spreads, stale.read = [stale.why], True, changed_input
    return stale


def stale_readers(store, job, root):
    """Return the existing outputs of a job as stale because of ``root``, a ``Stale`` whose content changes."""
    outputs = ((path, store.attributes(path)) for path in artifacts_of(job))
    return [
        Stale(store.name(path), root.why, attributes.get("seconds", 0.0), not os.path.islink(path), root.changes)
        for path, attributes in outputs
        if attributes is not None
    ]


def stale_outputs(store, requests, sources=()):
    """Return the existing outputs of a job that do not agree with the plan.

    Args:
        store: ``LocalStore``, or another class with its methods. requests: the job's ``requests_of``.
        sources: files and folders outside the store that the job reads.
    """
    results = (examine(store, path, request, sources) for path, request in requests.items())
    return [stale for stale in results if stale is not None]


def requests_of(job):
    """Return {artifact: {"stage", "spec", "identity"}} that the plan requests from a job.

    A shared pass has one artifact for each of its bases.

    Args:
        job: has ``output`` and, in ``params.spec``, the JSON of ``Plan.asked`` or ``Plan.asked_together``.
    """
    requests, paths = json.loads(job.params.spec), artifacts_of(job)
    if isinstance(requests, list):
        return dict(zip(paths, requests, strict=True))
    return dict.fromkeys(paths, requests)


def stage_of(job):
    """Return the stage of a job's artifacts."""
    return next(iter(requests_of(job).values()))["stage"]


def artifacts_of(job):
    """Return a job's outputs without markers, which are also declared as outputs in a remote store."""
    return [path for path in job.output if not os.path.basename(path).startswith(".")]


def dear(artifacts):
    """Return the costly artifacts, such as models, features and stored images, that changes would replace.

    Damaged artifacts do not count, since they are lost already; nor do models whose removed images depend on scores,
    which are retrained only if those images change; nor do lists of models or near-duplicates, which are made quickly.
    """
    return [stale for stale in artifacts if stale.replaced and stale.changes and _is_costly(PurePath(stale.name))]


def _is_costly(name):
    return name.parts[0] in GUARDED and name.suffix != ".json" and str(name) not in CHEAP


def replacement_message(artifacts, root):
    """Return a message on the artifacts that a run would replace: which, why, how long they took, and what to do."""
    kinds = Counter(GUARDED[PurePath(stale.name).parts[0]] for stale in artifacts)
    counts = ", ".join(f"{count} {kind if count > 1 else ONE.get(kind, kind)}" for kind, count in kinds.items())
    total = duration(sum(stale.seconds for stale in artifacts))
    names = ", ".join(stale.name for stale in artifacts[:SHOWN]) + (", …" if len(artifacts) > SHOWN else "")
    reasons = list(dict.fromkeys(str(change) for stale in artifacts for change in stale.changes))
    explanation = "; ".join(reasons[:SHOWN]) + ("; …" if len(reasons) > SHOWN else "")
    return (
        f"this run would replace {counts} in {root} that took {total} to make ({names}), because {explanation}. "
        "Nothing was changed. Undo the change, use another experiment name, or go on with "
        f"--config replace=true: what is replaced is then moved to {root}/replaced/"
    )


def dangling_message(links):
    """Return a message on dangling links in place of planned results: what they mean and what to do."""
    several = len(links) > 1
    return (
        f"{len(links)} planned result{'s are links' if several else ' is a link'} into a store that is not there any "
        f"more ({links[0]} leads to {os.readlink(links[0])}). Name the place where that store is now in the key store, "
        f"or make {'them' if several else 'it'} anew with --config replace=true"
    )


def duration(seconds):
    """Return a duration in hours, minutes or seconds, for people."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def summary(artifacts):
    """Return the reasons why artifacts are made again, one line each."""
    reasons = Counter((stale.why, PurePath(stale.name).parts[0] in TO_LOOK_AT) for stale in artifacts)
    lines = []
    for (reason, to_look_at), count in reasons.most_common():
        one, many = ("figure or table", "figures and tables") if to_look_at else ("result", "results")
        of_all = reason if count == 1 else reason.replace("its inputs have", "their inputs have")
        lines.append(f"{count} {one if count == 1 else many} made again: {of_all}")
    return lines
