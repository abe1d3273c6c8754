"""CIFAR-10's official archive."""

import io
import os
import pickle
import tarfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from waypoint.errors import WaypointError
from waypoint.store.data.arrays import ArrayImages
from waypoint.store.data.faults import some
from waypoint.store.data.listing import walk
from waypoint.store.data.source import Source

BATCHES = [f"data_batch_{k}" for k in range(1, 6)]
META = "batches.meta"
UNREADABLE = (pickle.UnpicklingError, LookupError, ValueError, TypeError, AttributeError, EOFError)


class _ArraysOnly(pickle.Unpickler):
    """Reads the official CIFAR batches, which are pickles, and refuses to construct anything but arrays."""

    ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }

    def find_class(self, module, name):
        if (module, name) not in self.ALLOWED:
            raise WaypointError(f"data.path: the archive wants to construct {module}.{name}; it is not CIFAR-10's")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def cifar10(section):
    """The training images of CIFAR-10's official python archive (.tar.gz) or of the folder it unpacks to: its five
    batches, each once.

    Without ``data.path`` torchvision downloads and checks it, where a network allows that.

    Raises:
        WaypointError: not the official format, a batch that is missing, or no download possible.
    """
    path = Path(section["path"] or _download_cifar10())
    images, labels, files = [], [], []
    raw, names = _read(path)
    for name in BATCHES:
        try:
            batch = _ArraysOnly(io.BytesIO(raw[name]), encoding="bytes").load()
            images.append(np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32))
            labels.append(np.asarray(batch[b"labels"], np.int64).reshape(len(images[-1])))
        except UNREADABLE as error:
            raise WaypointError(f"data.path: {path}: {name} is not in CIFAR-10's format ({error})") from error
        files += [f"{name}/{i}" for i in range(len(images[-1]))]
    labels = np.concatenate(labels)
    class_names = _class_names(raw.get(META), int(labels.max(initial=0)))
    read = [path / name for name in names] if path.is_dir() else [path]
    return ArrayImages(section, np.concatenate(images), files, map(str, read), labels=labels, class_names=class_names)


def check_cifar10(section):
    """Refuse a folder without the five batches; an archive is only looked at by the job, for that takes seconds."""
    if section["path"] and Path(section["path"]).is_dir():
        _of_folder(Path(section["path"]))


def _class_names(raw, largest):
    """The names of the classes in batches.meta; their numbers where it is missing or names too few."""
    try:
        names = [name.decode() for name in _ArraysOnly(io.BytesIO(raw or b""), encoding="bytes").load()[b"label_names"]]
    except UNREADABLE:
        names = []
    return names if len(names) > largest else [str(k) for k in range(largest + 1)]


def _read(path):
    """{name: bytes} of the batches and of batches.meta, and the names of the files in a folder."""
    if path.is_dir():
        names = _of_folder(path)
        return {PurePosixPath(name).name: (path / name).read_bytes() for name in names}, names
    try:
        with tarfile.open(path) as archive:
            members = {m.name: m for m in archive.getmembers() if m.isfile()}
            names = _chosen(list(members), path)
            found = {PurePosixPath(name).name: archive.extractfile(members[name]).read() for name in names}
            while archive.fileobj.read(1 << 22):  # to its end, where a compressed archive keeps its checksum
                pass
    except (tarfile.TarError, zlib.error, OSError, EOFError) as error:
        raise WaypointError(f"data.path: {path} is no readable tar archive ({error})") from error
    return found, names


def _of_folder(path):
    return _chosen(walk(path), path)


def _chosen(names, path):
    """The five batches among the names in a folder or archive, and batches.meta where it lies beside them.

    Of several copies the one that is least deep counts.

    Raises:
        WaypointError: no batches, one that is missing, or two copies at the same depth.
    """
    there = set(names)
    folders = {os.path.dirname(name) for name in there if os.path.basename(name) in BATCHES}
    if not folders:
        binary = any(os.path.basename(name) == f"{BATCHES[0]}.bin" for name in there)
        what = "is the binary version of CIFAR-10" if binary else "holds no data_batch files"
        raise WaypointError(f"data.path: {path} {what}; give cifar-10-python.tar.gz or its folder")
    least = min(folder.count("/") + bool(folder) for folder in folders)
    first, *others = sorted(folder for folder in folders if folder.count("/") + bool(folder) == least)
    if others:
        raise WaypointError(f"data.path: {path} holds CIFAR-10 more than once, in {some([first, *others])}; name one")
    missing = [name for name in BATCHES if os.path.join(first, name) not in there]
    if missing:
        raise WaypointError(f"data.path: {path}: {some(missing)} of CIFAR-10's five batches are missing")
    wanted = [os.path.join(first, name) for name in (*BATCHES, META)]
    return [name for name in wanted if name in there]


def _download_cifar10():
    from torchvision.datasets import CIFAR10

    root = Path.home() / ".cache" / "waypoint"
    try:
        CIFAR10(root, download=True)
    except Exception as error:
        raise WaypointError(
            f"data.path: CIFAR-10 could not be downloaded ({error}); give the path of cifar-10-python.tar.gz"
        ) from error
    return root / CIFAR10.filename


SOURCE = Source(cifar10, reads=(".tar.gz", ".tgz", ".tar"), check=check_cifar10, images=50_000)
