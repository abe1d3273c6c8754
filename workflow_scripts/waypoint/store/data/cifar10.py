"""CIFAR-10's official archive."""

# torchvision has no type hints
# pyright: reportMissingTypeStubs=false

import io
import os
import pickle
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from waypoint.errors import WaypointError
from waypoint.store.data.arrays import ArrayImages
from waypoint.store.data.faults import some
from waypoint.store.data.images import ImageOptions
from waypoint.store.data.listing import walk
from waypoint.store.data.source import DataSection, Source, path_of

BATCHES = [f"data_batch_{k}" for k in range(1, 6)]
META = "batches.meta"
VALUES, CLASSES = 3072, 10  # of an image, and of the data set
UNREADABLE = (pickle.UnpicklingError, LookupError, ValueError, TypeError, AttributeError, EOFError)


class _ArraysOnly(pickle.Unpickler):
    """Reads the official CIFAR batches, which are pickles; refuses to construct anything but arrays."""

    ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str, /) -> object:
        if (module, name) not in self.ALLOWED:
            raise WaypointError(f"data.path: the archive tries to construct {module}.{name}; it is not CIFAR-10's")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def cifar10(section: DataSection) -> ArrayImages:
    """Read the five training batches in CIFAR-10's official python archive (.tar.gz), or in its unpacked folder.

    Without ``data.path``, torchvision downloads and checks the archive, which needs a network.

    Raises:
        WaypointError: the format is not the official one, a batch is missing, or the download fails.
    """
    path = Path(path_of(section)) if section["path"] else _download_cifar10()
    images: list[NDArray[np.uint8]] = []
    labels: list[NDArray[np.int64]] = []
    files: list[str] = []
    raw, names = _read(path)
    for name in BATCHES:
        try:
            batch = _ArraysOnly(io.BytesIO(raw[name]), encoding="bytes").load()
            images.append(_pixels_of(batch[b"data"], f"data.path: {path}: {name}"))
            labels.append(_labels_of(batch[b"labels"], len(images[-1]), f"data.path: {path}: {name}"))
        except UNREADABLE as error:
            raise WaypointError(f"data.path: {path}: {name} is not in CIFAR-10's format ({error})") from error
        files += [f"{name}/{i}" for i in range(len(images[-1]))]
    all_labels = np.concatenate(labels)
    class_names = _class_names(raw.get(META), int(all_labels.max(initial=0)))
    raw_files = [path / name for name in names] if path.is_dir() else [path]
    options: ImageOptions = {"labels": all_labels, "class_names": class_names}
    return ArrayImages(section, np.concatenate(images), files, map(str, raw_files), **options)


def _pixels_of(data: object, context: str) -> NDArray[np.uint8]:
    """Return a batch's images (n, 3, 32, 32).

    Raises:
        WaypointError: they are not uint8 (n, 3072).
    """
    array = np.asarray(data)
    if array.dtype != np.uint8 or array.ndim != 2 or array.shape[1] != VALUES:
        raise WaypointError(
            f"{context}: data must be uint8 of shape (n, {VALUES}), the red, green and blue of 32 × 32 pixels one "
            f"after the other, but it is {array.dtype} of shape {array.shape}"
        )
    return array.reshape(-1, 3, 32, 32)


def _labels_of(values: object, n: int, context: str) -> NDArray[np.int64]:
    """Return a batch's labels (n,).

    Raises:
        WaypointError: they are not whole numbers from 0 to 9, one for each image.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or array.shape != (n,) or (n and not 0 <= array.min() <= array.max() < CLASSES):
        contents = f"{array.dtype} of shape {array.shape}"
        if array.dtype.kind in "iuf" and array.size:
            contents += f" from {array.min()} to {array.max()}"
        raise WaypointError(
            f"{context}: labels must be {n} whole numbers from 0 to {CLASSES - 1}, but they are {contents}"
        )
    return array.astype(np.int64)


def check_cifar10(section: DataSection) -> None:
    """Refuse a folder without the five batches; archives are left to the job, as reading one takes seconds."""
    if section["path"] and Path(path_of(section)).is_dir():
        _batches_in_folder(Path(path_of(section)))


def _class_names(raw: bytes | None, largest: int) -> list[str]:
    """Return the names of the classes in batches.meta, or their numbers if it is missing or has too few names."""
    try:
        names = [name.decode() for name in _ArraysOnly(io.BytesIO(raw or b""), encoding="bytes").load()[b"label_names"]]
    except UNREADABLE:
        names = []
    return names if len(names) > largest else [str(k) for k in range(largest + 1)]


def _read(path: Path) -> tuple[dict[str, bytes], list[str]]:
    """Read the batches and batches.meta: their bytes by name, and the files' paths in the folder or archive."""
    if path.is_dir():
        names = _batches_in_folder(path)
        return {PurePosixPath(name).name: (path / name).read_bytes() for name in names}, names
    try:
        with tarfile.open(path) as archive:
            members = {m.name: m for m in archive.getmembers() if m.isfile()}
            names = _choose_batches(list(members), path)
            contents = {PurePosixPath(name).name: _member_bytes(archive, members[name]) for name in names}
            # read to the end: the checksum of a compressed archive is there
            while archive.fileobj and archive.fileobj.read(1 << 22):
                pass
    except (tarfile.TarError, zlib.error, OSError, EOFError) as error:
        raise WaypointError(f"data.path: {path} is not a readable tar archive ({error})") from error
    return contents, names


def _member_bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def _batches_in_folder(path: Path) -> list[str]:
    return _choose_batches(walk(path), path)


def _choose_batches(names: Sequence[str], path: Path) -> list[str]:
    """Return the paths of the five batches in a folder or archive, and of batches.meta if it lies beside them.

    If there are several copies, the least deep one counts.

    Raises:
        WaypointError: batches are missing, or two copies lie at the same depth.
    """
    available = set(names)
    folders = {os.path.dirname(name) for name in available if os.path.basename(name) in BATCHES}
    if not folders:
        binary = any(os.path.basename(name) == f"{BATCHES[0]}.bin" for name in available)
        fault = "is the binary version of CIFAR-10" if binary else "holds no data_batch files"
        raise WaypointError(f"data.path: {path} {fault}; give cifar-10-python.tar.gz or its folder")
    least = min(folder.count("/") + bool(folder) for folder in folders)
    first, *others = sorted(folder for folder in folders if folder.count("/") + bool(folder) == least)
    if others:
        raise WaypointError(f"data.path: {path} holds CIFAR-10 more than once, in {some([first, *others])}; name one")
    missing = [name for name in BATCHES if os.path.join(first, name) not in available]
    if missing:
        raise WaypointError(f"data.path: {path}: {some(missing)} of CIFAR-10's five batches are missing")
    expected = [os.path.join(first, name) for name in (*BATCHES, META)]
    return [name for name in expected if name in available]


def _download_cifar10() -> Path:
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
