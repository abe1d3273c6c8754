"""Artifacts in a remote store, through the storage objects of Snakemake's plugins (S3 and others).

Snakemake is not imported here; ``StorageObject`` and the other protocols are its classes, as far as they are used.
"""

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from waypoint.errors import WaypointError
from waypoint.store.artifacts.provenance import DamagedArtifact, attributes_of, content_hash_of, marker_path
from waypoint.store.artifacts.replaced import DELETE, FOLDER
from waypoint.store.types import Attributes


class StorageProvider(Protocol):
    """Makes storage objects."""

    def object(self, query: str, /) -> "StorageObject":
        """The storage object of an address."""
        ...


class StorageObject(Protocol):
    """A file or folder in a remote store. ``query`` is its address."""

    query: str
    provider: StorageProvider

    def local_path(self) -> Path:
        """Its path while a job works with it."""
        ...

    def exists(self) -> bool:
        """Whether it exists in the remote store."""
        ...

    def retrieve_object(self) -> object:
        """Copy it from the remote store to its local path."""
        ...

    def store_object(self) -> object:
        """Copy it from its local path to the remote store."""
        ...

    def remove(self) -> object:
        """Delete it in the remote store."""
        ...


class RemotePath(Protocol):
    """A path of Snakemake that leads to a remote store."""

    storage_object: StorageObject


CONNECTIONS = 16  # requests under way at once


class RemoteStore:
    """An experiment's artifacts in a remote store; paths are Snakemake's, with ``storage_object``.

    Args:
        root: {store}/{experiment}, a part of every address.
    """

    def __init__(self, root: str):
        self.root = root
        self._attributes: dict[str, str | None] = {}

    def name(self, path: RemotePath) -> str | None:
        """A path within the experiment, or None."""
        _, inside, name = path.storage_object.query.partition(f"{self.root}/")
        return name if inside else None

    def fetch(self, paths: Sequence[RemotePath]) -> None:
        """Read the attributes of many artifacts at once."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(self._fetched, paths))
        for path in paths:  # not before: others may be writing into the same folders
            _remove_empty_folders(path.storage_object.provider, _marker(path.storage_object.query))

    def attributes(self, path: RemotePath) -> Attributes | None:
        """An artifact's attributes; None where it does not exist.

        Raises:
            DamagedArtifact: its marker cannot be read.
        """
        text, query = self._fetched(path), path.storage_object.query
        try:
            return None if text is None else attributes_of(query, json.loads(text))
        except ValueError as error:
            raise DamagedArtifact(f"{_marker(query)} is damaged ({error}); delete {query} and rerun") from error

    def missing_part(self, path: RemotePath, attributes: Attributes) -> None:
        """Always None: remote stores have no half-written objects, and listing all objects takes too long."""

    def content(self, path: RemotePath, name: str) -> str | None:
        """The hash of the images, embeddings or weights in ``name``; None where it is not there."""
        base = path.storage_object.query[: -len(self.name(path) or "")]
        try:
            provider, marker = path.storage_object.provider, _marker(f"{base}{name}")
            text = _text(provider, marker)
            _remove_empty_folders(provider, marker)
            return None if text is None else content_hash_of(attributes_of(name, json.loads(text)))
        except (ValueError, WaypointError):
            return None

    def _fetched(self, path: RemotePath) -> str | None:
        query = path.storage_object.query
        if query not in self._attributes:
            text = _text(path.storage_object.provider, _marker(query))
            lost = text is None and path.storage_object.exists()  # only the marker is lost: read as a damaged one
            self._attributes[query] = "" if lost else text
        return self._attributes[query]


def set_aside(files: Iterable[RemotePath], root: str) -> None:
    """Move the earlier outputs of a job aside in a remote store, before the new ones are uploaded.

    Args:
        files: the outputs. root: {store}/{experiment}.
    """
    for file in files:
        old = file.storage_object
        base, inside, name = old.query.partition(f"{root}/")
        if not inside or not old.exists():
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
def _elsewhere(path: Path) -> Generator[None]:
    """Free a path for a while: its file or folder is renamed, and put back at the end."""
    aside = path.with_name(f"{path.name}.new-{os.getpid()}")
    if path.exists():
        os.rename(path, aside)
    try:
        yield
    finally:
        _remove(path)
        if aside.exists():
            os.rename(aside, path)


def _marker(query: str) -> str:
    """The address of an artifact's marker."""
    if query.endswith(".zarr"):
        return f"{query}/zarr.json"
    folder, _, name = query.rpartition("/")
    suffixed = Path(name).suffix in (".csv", ".png", ".json", ".svg", ".html")
    return f"{folder}/{marker_path(name).name}" if suffixed else f"{query}/waypoint.json"


def _text(provider: StorageProvider, query: str) -> str | None:
    """The text of a remote file, or None; only the folders of its local copy stay behind."""
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


def _remove_empty_folders(provider: StorageProvider, query: str) -> None:
    """Remove the empty local folders of a remote file, which would pass for artifacts."""
    with contextlib.suppress(OSError):
        for folder in provider.object(query).local_path().parents:
            folder.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
