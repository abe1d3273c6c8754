"""Decides what runs again: the artifacts of a plan are compared with their own attributes, and nothing else counts.

Not the dates of files, not the records of a working directory. An artifact is made again where

- it is damaged: its metadata, its marker or a part of it is missing or unreadable;
- its identity is another: a setting, a stage's version or anything that it is made from has changed;
- the images, embeddings or weights that it recorded having read are others now;
- the raw data or the existing model that it was read from have another content.

A plan that would replace trained models, features or stored images stops before its first job (``start``).
"""

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePath

from waypoint.errors import WaypointError
from waypoint.store.artifacts.completeness import missing_part
from waypoint.store.artifacts.provenance import DamagedArtifact, content_hash_of, marker_path, read_attributes
from waypoint.store.artifacts.source_files import changed_source
from waypoint.workflow.plan.specs import as_read, differences

GUARDED = {  # folders of what is dear, and what messages call it
    "data": "stored images",
    "encoders": "encoders",
    "checkpoints": "models",
    "curvature": "curvatures",
    "features": "train features",
    "fisher": "Fisher rows",
    "embeddings": "embeddings",
}
CHEAP = ("data/near_duplicates.zarr",)  # what is made anew without asking, though it lies in one of them
FROM_RAW = ("prepare_data",)  # stages that read raw data, which may be gone when it is stored
DAMAGED = "its attributes are damaged"
ONE = {"encoders": "encoder", "models": "model", "curvatures": "curvature"}  # of several
SHOWN = 5  # artifacts that a message names


@dataclass
class Stale:
    """An artifact that will be made again.

    Attributes:
        name: its path within the experiment. why: one clause.
        seconds: how long it took to make. replaced: whether something whole is replaced.
        changes: the settings or contents that are others now, where something whole is replaced because of them.
        spreads: whether everything made from it is stale too, although no setting tells so: it has another content.
        read: the artifact that has another content than when this one read it.
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
        root: {store}/{experiment} as the paths of jobs have it.
    """

    def __init__(self, root):
        self.root, self._hashes = root, {}

    def name(self, path):
        """A path within the experiment, or None."""
        _, inside, name = str(path).partition(f"{self.root}/")
        return name if inside else None

    def fetch(self, paths):
        """Do nothing: local files are read when they are needed."""

    def attributes(self, path):
        """An artifact's attributes; None where it does not exist.

        Raises:
            DamagedArtifact: its marker is missing or cannot be read.
        """
        attributes = read_attributes(path)
        if attributes is None and os.path.exists(path):
            raise DamagedArtifact(f"{marker_path(path)} is missing")
        return attributes

    def missing_part(self, path, attributes):
        """The first file of an artifact that is not there, or None."""
        return missing_part(path, attributes)

    def content(self, path, name):
        """The hash of the images, embeddings or weights in ``name``; None where it is not there.

        Args:
            path: of any artifact of the experiment.
        """
        if name not in self._hashes:
            before = str(path).partition(f"{self.root}/")[0]
            try:
                self._hashes[name] = content_hash_of(self.attributes(f"{before}{self.root}/{name}"))
            except WaypointError:  # damaged: it is made again itself
                self._hashes[name] = None
        return self._hashes[name]


def examine(store, path, expected, sources=()):
    """Compare an existing artifact with the plan.

    Args:
        store: ``LocalStore``, or another with its methods. expected: {"spec", "identity"} of ``Plan.asked``.
        sources: files and folders outside the store that the artifact was read from.

    Returns:
        ``Stale``, or None where it is current or not there at all.

    Raises:
        WaypointError: it was made by something else, or by an earlier version of Waypoint.
    """
    name = store.name(path)
    try:
        attributes = store.attributes(path)
    except DamagedArtifact as error:
        return Stale(name, str(error))
    if attributes is None:
        return None
    if missing := store.missing_part(path, attributes):
        return Stale(name, f"{missing} is missing")
    if not {"identity", "reads"} <= attributes.keys():
        return Stale(name, DAMAGED)
    # a link leads to somebody else's artifact, which stays as it is
    stale = Stale(name, "", attributes.get("seconds", 0.0), not os.path.islink(path))
    record = attributes.get("source")
    if attributes["spec"] != expected["spec"] and as_read(attributes["spec"]) == as_read(expected["spec"]):
        # its readers go by an earlier version, which this is too: it only lacks what later ones store beside it
        if record and not sources and expected["stage"] in FROM_RAW:  # which is not to be had any more
            return None
        if changed := changed_source(record, sources):
            stale.why, stale.changes, stale.spreads = changed, [changed], True
        else:
            stale.why = str(differences(attributes["spec"], expected["spec"])[0])
    elif attributes["identity"] != expected["identity"]:
        stale.changes = differences(attributes["spec"], expected["spec"])
        stale.why = "; ".join(dict.fromkeys(map(str, stale.changes))) or "what it is made from changed"
    elif attributes["spec"] != expected["spec"]:  # of the same identity
        return Stale(name, DAMAGED)
    elif changed := changed_source(record, sources):
        stale.why, stale.changes, stale.spreads = changed, [changed], True
    else:
        others = (
            name for name, sha256 in attributes["reads"].items() if store.content(path, name) not in (sha256, None)
        )
        if (other := next(others, None)) is None:
            return None
        stale.why = f"{other} has another content than when it was read"
        stale.changes, stale.spreads, stale.read = [stale.why], True, other
    return stale


def following(store, job, root):
    """The outputs of a job that are there and follow from ``root``, a ``Stale`` with another content."""
    there = ((path, store.attributes(path)) for path in artifacts_of(job))
    return [
        Stale(store.name(path), root.why, attributes.get("seconds", 0.0), not os.path.islink(path), root.changes)
        for path, attributes in there
        if attributes is not None
    ]


def stale_outputs(store, asked, sources=()):
    """The existing outputs of a job that do not agree with the plan.

    Args:
        store: ``LocalStore`` or another. asked: of the job, by ``asked_of``.
        sources: files and folders outside the store that the job reads.
    """
    results = (examine(store, path, each, sources) for path, each in asked.items())
    return [stale for stale in results if stale is not None]


def asked_of(job):
    """{artifact: {"stage", "spec", "identity"}} that the plan asks of a job; bases that share a pass ask for one each.

    Args:
        job: has ``output`` and, in ``params.spec``, the JSON of ``Plan.asked`` or ``Plan.asked_together``.
    """
    asked, paths = json.loads(job.params.spec), artifacts_of(job)
    if isinstance(asked, list):
        return dict(zip(paths, asked, strict=True))
    return dict.fromkeys(paths, asked)


def stage_of(job):
    """The stage of what a job makes."""
    return next(iter(asked_of(job).values()))["stage"]


def artifacts_of(job):
    """A job's outputs without markers, which a remote store has declared beside them."""
    return [path for path in job.output if not os.path.basename(path).startswith(".")]


def dear(artifacts):
    """Those of ``artifacts`` that are trained models, features or stored images of other settings or contents.

    What is damaged is lost already. A model that other scores may remove other images from is trained again only if
    they do. Lists of models, and of near-duplicates, are made in a moment.
    """
    return [stale for stale in artifacts if stale.replaced and stale.changes and _guarded(PurePath(stale.name))]


def _guarded(name):
    return name.parts[0] in GUARDED and name.suffix != ".json" and str(name) not in CHEAP


def replacing(dear, root):
    """A message on the artifacts that a run would replace: which, why, how long they took, and what to do."""
    kinds = Counter(GUARDED[PurePath(stale.name).parts[0]] for stale in dear)
    counts = ", ".join(f"{count} {kind if count > 1 else ONE.get(kind, kind)}" for kind, count in kinds.items())
    took = duration(sum(stale.seconds for stale in dear))
    names = ", ".join(stale.name for stale in dear[:SHOWN]) + (", …" if len(dear) > SHOWN else "")
    reasons = list(dict.fromkeys(str(change) for stale in dear for change in stale.changes))
    why = "; ".join(reasons[:SHOWN]) + ("; …" if len(reasons) > SHOWN else "")
    return (
        f"this run would replace {counts} in {root} that took {took} to make ({names}), because {why}. "
        "Nothing was changed. Undo the change, use another experiment name, or go on with "
        f"--config replace=true: what is replaced is then moved to {root}/replaced/"
    )


def moved(links):
    """A message on links of planned results that lead nowhere any more: what they mean, and what to do."""
    some = len(links) > 1
    return (
        f"{len(links)} planned result{'s are links' if some else ' is a link'} into a store that is not there any more "
        f"({links[0]} leads to {os.readlink(links[0])}). Name the place where that store is now in the key store, or "
        f"make {'them' if some else 'it'} anew with --config replace=true"
    )


def duration(seconds):
    """Seconds in hours, minutes or seconds, as people read them."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def summary(artifacts):
    """Why artifacts are made again, a line for each reason."""
    reasons = Counter(stale.why for stale in artifacts)
    return [f"{count} result{'s' * (count > 1)} made again: {why}" for why, count in reasons.most_common()]
