"""Artifacts in a remote store, through the storage objects of Snakemake's plugins (S3 and others).

A storage object stands for a file or folder: ``query`` is its address, ``local_path()`` its place while a job works
with it; ``exists``, ``retrieve_object``, ``store_object`` and ``remove`` move it; ``provider.object(query)`` makes
another.
"""

import contextlib
import itertools
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.provenance import DamagedArtifact, attributes_of, content_hash_of, marker_path
from waypoint.store.artifacts.replaced import DELETE, FOLDER

CONNECTIONS = 16  # requests under way at once


class RemoteStore:
    """An experiment's artifacts in a remote store; paths are Snakemake's, with ``storage_object``.

    Args:
        root: {store}/{experiment}, a part of every address.
    """

    def __init__(self, root):
        self.root, self._attributes = root, {}

    def name(self, path):
        """A path within the experiment, or None."""
        _, found, name = path.storage_object.query.partition(f"{self.root}/")
        return name if found else None

    def fetch(self, paths):
        """Read the attributes of many artifacts at once."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(self._fetched, paths))
        for path in paths:  # not before: others may be writing into the same folders
            _remove_empty_folders(path.storage_object.provider, _marker(path.storage_object.query))

    def attributes(self, path):
        """An artifact's attributes; None where it does not exist.

        Raises:
            DamagedArtifact: its marker cannot be read.
        """
        found, query = self._fetched(path), path.storage_object.query
        try:
            return None if found is None else attributes_of(query, json.loads(found))
        except ValueError as error:
            raise DamagedArtifact(f"{_marker(query)} is damaged ({error}); delete {query} and rerun") from error

    def missing_part(self, path, attributes):
        """None: a remote store has no half written objects, and to list all of them takes too long."""

    def content(self, path, name):
        """The hash of the images, embeddings or weights in ``name``; None where it is not there."""
        base = path.storage_object.query[: -len(self.name(path))]
        try:
            provider, marker = path.storage_object.provider, _marker(f"{base}{name}")
            found = _text(provider, marker)
            _remove_empty_folders(provider, marker)
            return None if found is None else content_hash_of(attributes_of(name, json.loads(found)))
        except (ValueError, WaypointError):
            return None

    def _fetched(self, path):
        query = path.storage_object.query
        if query not in self._attributes:
            text = _text(path.storage_object.provider, _marker(query))
            lost = text is None and path.storage_object.exists()  # the marker alone: no text is damaged text
            self._attributes[query] = "" if lost else text
        return self._attributes[query]


def set_aside(files, root):
    """Move the earlier outputs of a job aside in a remote store, before those that lie here are stored.

    Args:
        files: the outputs, with ``storage_object``. root: {store}/{experiment}.
    """
    for file in files:
        old = file.storage_object
        base, found, name = old.query.partition(f"{root}/")
        if not found or not old.exists():
            continue
        with _elsewhere(old.local_path()):
            if not os.environ.get(DELETE):
                old.retrieve_object()
                queries = (f"{base}{root}/{FOLDER}/{k}/{name}" for k in itertools.count(1))
                aside = next(obj for obj in map(old.provider.object, queries) if not obj.exists())
                aside.local_path().parent.mkdir(parents=True, exist_ok=True)
                shutil.move(old.local_path(), aside.local_path())
                aside.store_object()
                _remove(aside.local_path())
            old.remove()


@contextlib.contextmanager
def _elsewhere(path):
    """Keep what lies at ``path`` beside it for a while."""
    aside = path.with_name(f"{path.name}.new-{os.getpid()}")
    if path.exists():
        os.rename(path, aside)
    try:
        yield
    finally:
        _remove(path)
        if aside.exists():
            os.rename(aside, path)


def _marker(query):
    """The address of an artifact's marker."""
    if query.endswith(".zarr"):
        return f"{query}/zarr.json"
    folder, _, name = query.rpartition("/")
    suffixed = Path(name).suffix in (".csv", ".png", ".json", ".svg", ".html")
    return f"{folder}/{marker_path(name).name}" if suffixed else f"{query}/waypoint.json"


def _text(provider, query):
    """The text of a remote file, or None; nothing of it stays here but the folders that it lay in."""
    remote = provider.object(query)
    if not remote.exists():
        return None
    place = remote.local_path()
    place.parent.mkdir(parents=True, exist_ok=True)
    remote.retrieve_object()
    try:
        return place.read_text()
    finally:
        place.unlink()


def _remove_empty_folders(provider, query):
    """Remove the folders of a remote file that hold nothing here: an empty one would pass for an artifact."""
    with contextlib.suppress(OSError):
        for folder in provider.object(query).local_path().parents:
            folder.rmdir()


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
