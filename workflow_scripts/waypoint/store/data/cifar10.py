"""CIFAR-10's official archive."""

import io
import pickle
import tarfile
import zlib
from pathlib import Path

import numpy as np

from waypoint.errors import WaypointError
from waypoint.store.data.arrays import ArraySource
from waypoint.store.data.source import Source


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
    """The training images of CIFAR-10's official python archive (.tar.gz) or of the folder it unpacks to.

    Without ``data.path`` torchvision downloads and checks it, where a network allows that.

    Raises:
        WaypointError: not the official format, or no download possible.
    """
    path = Path(section["path"] or _download_cifar10())
    images, labels = [], []
    for name, raw in _cifar_batches(path):
        try:
            batch = _ArraysOnly(io.BytesIO(raw), encoding="bytes").load()
            images.append(np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32))
            labels.append(np.asarray(batch[b"labels"], np.int64).reshape(len(images[-1])))
        except (pickle.UnpicklingError, LookupError, ValueError, TypeError, AttributeError, EOFError) as error:
            raise WaypointError(f"data.path: {path}: {name} is not in CIFAR-10's format ({error})") from error
    if not images:
        raise WaypointError(f"data.path: {path} holds no data_batch files; give cifar-10-python.tar.gz or its folder")
    return ArraySource(np.concatenate(images), np.concatenate(labels))


def _cifar_batches(path):
    if path.is_dir():
        for file in sorted(path.rglob("data_batch_*")):
            yield file.name, file.read_bytes()
        return
    try:
        with tarfile.open(path) as archive:
            members = sorted(
                (m for m in archive.getmembers() if m.isfile() and Path(m.name).name.startswith("data_batch_")),
                key=lambda m: m.name,
            )
            for member in members:
                yield Path(member.name).name, archive.extractfile(member).read()
            while archive.fileobj.read(1 << 22):  # to its end, where a compressed archive keeps its checksum
                pass
    except (tarfile.TarError, zlib.error, OSError, EOFError) as error:
        raise WaypointError(f"data.path: {path} is no readable tar archive ({error})") from error


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


SOURCE = Source(cifar10, images=50_000)
