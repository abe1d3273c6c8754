"""Artifacts in a remote store, through the storage objects of Snakemake's plugins (S3 and others).

Snakemake is not imported here; ``StorageObject`` and the other protocols describe the parts of its classes used here.
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
        """Return the storage object of an address."""
        ...


class StorageObject(Protocol):
    """A file or folder in a remote store. ``query`` is its address."""

    query: str
    provider: StorageProvider

    def local_path(self) -> Path:
        """Return its path while a job works with it."""
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
    """A Snakemake path to a remote store."""

    storage_object: StorageObject


CONNECTIONS = 16  # simultaneous requests


class RemoteStore:
    """An experiment's artifacts in a remote store; paths are Snakemake's, with a ``storage_object``.

    Args:
        root: {store}/{experiment}, part of every address.
    """

    def __init__(self, root: str):
        self.root = root
        self._attributes: dict[str, str | None] = {}

    def name(self, path: RemotePath) -> str | None:
        """Return a path relative to the experiment, or None if it lies outside."""
        _, inside, name = path.storage_object.query.partition(f"{self.root}/")
        return name if inside else None

    def fetch(self, paths: Sequence[RemotePath]) -> None:
        """Read the attributes of many artifacts at once."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(self._marker_text, paths))
        for path in paths:  # only now: the threads write into the same folders
            _remove_empty_folders(path.storage_object.provider, _marker_address(path.storage_object.query))

    def attributes(self, path: RemotePath) -> Attributes | None:
        """Return an artifact's attributes; None if it does not exist.

        Raises:
            DamagedArtifact: its marker cannot be read.
        """
        text, query = self._marker_text(path), path.storage_object.query
        try:
            return None if text is None else attributes_of(query, json.loads(text))
        except ValueError as error:
            raise DamagedArtifact(f"{_marker_address(query)} is damaged ({error}); delete {query} and rerun") from error

    def missing_part(self, path: RemotePath, attributes: Attributes) -> None:
        """Return None: remote stores have no half-written objects, and listing all objects takes too long."""

    def content(self, path: RemotePath, name: str) -> str | None:
        """Return the hash of the images, embeddings or weights in ``name``; None if it is missing."""
        base = path.storage_object.query[: -len(self.name(path) or "")]
        try:
            provider, marker = path.storage_object.provider, _marker_address(f"{base}{name}")
            text = _read_text(provider, marker)
            _remove_empty_folders(provider, marker)
            return None if text is None else content_hash_of(attributes_of(name, json.loads(text)))
        except (ValueError, WaypointError):
            return None

    def _marker_text(self, path: RemotePath) -> str | None:
        query = path.storage_object.query
        if query not in self._attributes:
            text = _read_text(path.storage_object.provider, _marker_address(query))
            marker_lost = text is None and path.storage_object.exists()  # without its marker, it counts as damaged
            self._attributes[query] = "" if marker_lost else text
        return self._attributes[query]


def set_aside(files: Iterable[RemotePath], root: str) -> None:
    """Move a job's earlier outputs aside in a remote store, before the new ones are uploaded.

    Args:
        files: the outputs. root: {store}/{experiment}.
    """
    for file in files:
        old = file.storage_object
        base, inside, name = old.query.partition(f"{root}/")
        if not inside or not old.exists():
            continue
        with _vacated(old.local_path()):
            if not os.environ.get(DELETE):
                old.retrieve_object()
                queries = (f"{base}{root}/{FOLDER}/{k}/{name}" for k in itertools.count(1))
                destination = next(obj for obj in map(old.provider.object, queries) if not obj.exists())
                destination.local_path().parent.mkdir(parents=True, exist_ok=True)
                shutil.move(old.local_path(), destination.local_path())
                destination.store_object()
                _remove(destination.local_path())
            old.remove()


@contextlib.contextmanager
def _vacated(path: Path) -> Generator[None]:
    """Free a path within the block: its file or folder is renamed, and put back at the end."""
    aside = path.with_name(f"{path.name}.new-{os.getpid()}")
    if path.exists():
        os.rename(path, aside)
    try:
        yield
    finally:
        _remove(path)
        if aside.exists():
            os.rename(aside, path)


def _marker_address(query: str) -> str:
    """Return the address of an artifact's marker."""
    if query.endswith(".zarr"):
        return f"{query}/zarr.json"
    folder, _, name = query.rpartition("/")
    suffixed = Path(name).suffix in (".csv", ".png", ".json", ".svg", ".html")
    return f"{folder}/{marker_path(name).name}" if suffixed else f"{query}/waypoint.json"


def _read_text(provider: StorageProvider, query: str) -> str | None:
    """Read a remote text file, or return None; only the folders of its local copy stay behind."""
    remote = provider.object(query)
    if not remote.exists():
        return None
    local = remote.local_path()
    local.parent.mkdir(parents=True, exist_ok=True)
    remote.retrieve_object()
    try:
        return local.read_text()
    finally:
        local.unlink()


def _remove_empty_folders(provider: StorageProvider, query: str) -> None:
    """Remove the empty local folders of a remote file, which could be taken for artifacts."""
    with contextlib.suppress(OSError):
        for folder in provider.object(query).local_path().parents:
            folder.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
