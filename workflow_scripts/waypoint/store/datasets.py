"""Data sources behind one interface: an image source has ``n``, ``labels``, ``captions`` and ``read(i)``.

``read(i)`` gives float32 (C, H, W) in [-1, 1]. Sources: digits, imagefolder, cifar10, npz.
"""

import csv
import io
import pickle
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import WaypointError
from ..science.streams import numpy_stream

# everything that numpy raises on a file that is no npz
NPZ_ERRORS = (OSError, ValueError, EOFError, TypeError, AttributeError, NotImplementedError)
NPZ_ERRORS += (zipfile.BadZipFile, zlib.error)
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


class ArraySource:
    """Images held in memory as uint8 or as floats in [-1, 1], (n, C, H, W)."""

    def __init__(self, images, labels=None, captions=None):
        self.images, self.labels, self.captions = images, labels, captions
        self.n = len(images)

    def read(self, i):
        """Image i, float32 (C, H, W) in [-1, 1]."""
        image = self.images[i]
        return image.astype(np.float32) / 127.5 - 1 if image.dtype == np.uint8 else image.astype(np.float32)


def digits(section):
    """scikit-learn's 1,797 handwritten 8 × 8 digits, grey levels 0..16."""
    from sklearn.datasets import load_digits  # 1.3 CPU seconds that only this source needs

    found = load_digits()
    return ArraySource((found.images[:, None] / 8 - 1).astype(np.float32), found.target.astype(np.int64))


def npz(section):
    """A file with keys image (n, C, H, W), (n, H, W, C) or (n, H, W), and optionally label and caption.

    Raises:
        WaypointError: a missing key, lengths that differ, or floats outside [-1, 1].
    """
    path = section["path"]
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {key: found[key] for key in ("image", "label", "caption") if key in found.files}
    except NPZ_ERRORS as error:
        raise WaypointError(f"data.path: {path} is no readable npz file ({error})") from error
    if "image" not in arrays:
        raise WaypointError(f"data.path: {path} has no key 'image'")
    images = arrays["image"]
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or not len(images):
        raise WaypointError(f"data.path: {path}: image has shape {arrays['image'].shape}; (n, channel, y, x) is needed")
    if images.shape[-1] in (1, 3) and images.shape[1] not in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.dtype != np.uint8:
        if images.dtype.kind != "f" or not np.isfinite(images).all() or np.abs(images).max() > 1:
            raise WaypointError(f"data.path: {path}: image must be uint8, or floats within [-1, 1]")
        if images.min() >= 0:
            raise WaypointError(
                f"data.path: {path}: image holds floats in [0, 1], but [-1, 1] is needed; store 2 * image - 1, or uint8"
            )
    for key in ("label", "caption"):
        if key in arrays and arrays[key].shape != (len(images),):
            raise WaypointError(f"data.path: {path}: {key} has shape {arrays[key].shape} for {len(images)} images")
    if "label" in arrays and arrays["label"].dtype.kind not in "iu":
        raise WaypointError(f"data.path: {path}: label must be integers")
    labels = arrays["label"].astype(np.int64) if "label" in arrays else None
    captions = arrays["caption"].astype(str).tolist() if "caption" in arrays else None
    return ArraySource(images, labels, captions)


class ImageFolder:
    """Image files under a folder, in path order; the first-level folder names are the classes, if there are any.

    ``data.captions`` names a CSV with columns file (relative to the folder) and caption and/or label; then its
    rows, in their order, are the images. Transparency is laid on white; an image is cropped to a centred
    square only when ``data.size`` asks for a resize.

    Raises:
        WaypointError: no images, an unreadable one, or images of different shapes without ``data.size``.
    """

    def __init__(self, section):
        root = Path(section["path"])
        self.labels = self.captions = None
        if section["captions"]:
            self._from_csv(root, Path(section["captions"]))
        else:
            self.files = sorted(f for f in root.rglob("*") if f.suffix.lower() in SUFFIXES)
            classes = sorted({f.relative_to(root).parts[0] for f in self.files if len(f.relative_to(root).parts) > 1})
            if classes and all(len(f.relative_to(root).parts) > 1 for f in self.files):
                self.labels = np.array([classes.index(f.relative_to(root).parts[0]) for f in self.files], np.int64)
        if not self.files:
            raise WaypointError(f"data.path: no images under {root}")
        self.n, self.size, self.shape = len(self.files), section["size"], None
        self.mode = "L" if self._open(0).mode in ("1", "L") else "RGB"
        self.shape = self.read(0).shape

    def _from_csv(self, root, table):
        try:
            with open(table, newline="", encoding="utf-8-sig") as handle:
                reader = csv.DictReader(handle)
                numbered = [(reader.line_num, row) for row in reader]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise WaypointError(f"data.captions: cannot read {table} ({error})") from error
        rows = [row for _, row in numbered]
        if not rows or "file" not in rows[0] or not {"caption", "label"} & rows[0].keys():
            raise WaypointError(f"data.captions: {table} needs the columns file and caption and/or label")
        for line, row in numbered:
            for column in {"file", "caption", "label"} & rows[0].keys():
                if not row[column]:
                    raise WaypointError(f"data.captions: {table} line {line} has no {column}")
            if not (root / row["file"]).is_file():
                raise WaypointError(f"data.captions: {table} line {line}: no file {root / row['file']}")
        self.files = [root / row["file"] for row in rows]
        if "caption" in rows[0]:
            self.captions = [row["caption"] for row in rows]
        if "label" in rows[0]:
            names = sorted({row["label"] for row in rows})
            numeric = all(name.isdigit() for name in names)
            self.labels = np.array([int(r["label"]) if numeric else names.index(r["label"]) for r in rows], np.int64)

    def _open(self, i):
        try:
            image = Image.open(self.files[i])
            image.load()
        except (OSError, UnidentifiedImageError) as error:
            raise WaypointError(f"data.path: {self.files[i]} is no readable image ({error})") from error
        if image.mode.startswith("I;16"):  # PIL would clip 16-bit grey levels, not scale them
            image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
        if "A" in image.getbands() or "transparency" in image.info:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        return image

    def read(self, i):
        """Image i, float32 (C, H, W) in [-1, 1]."""
        image = self._open(i)
        if self.mode == "L" and image.mode not in ("1", "L"):
            raise WaypointError(f"data.path: {self.files[i]} is in colour, the first image is grey; make them alike")
        image = image.convert(self.mode)
        if self.size:
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            image = image.crop((left, top, left + side, top + side))
        pixels = np.asarray(image, np.uint8).reshape(image.height, image.width, -1).transpose(2, 0, 1)
        if self.shape and not self.size and pixels.shape != self.shape:
            raise WaypointError(
                f"data.size: {self.files[i]} is {pixels.shape}, the first image {self.shape}; set data.size to resize"
            )
        return pixels.astype(np.float32) / 127.5 - 1


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


SOURCES = {"digits": digits, "imagefolder": ImageFolder, "cifar10": cifar10, "npz": npz}


def chosen(section, n, seed):
    """Indices of the images to use: all, a seeded sample of ``data.subset``, or those it lists; ascending.

    Raises:
        WaypointError: more images asked for than there are, or an index out of range.
    """
    subset = section["subset"]
    if subset is None:
        return np.arange(n)
    if isinstance(subset, int):
        if subset > n:
            raise WaypointError(f"data.subset: {subset} images asked for, the source has {n}")
        return np.sort(numpy_stream(seed, "data subset").permutation(n)[:subset])
    if max(subset) >= n:
        raise WaypointError(f"data.subset: index {max(subset)} asked for, the source has {n} images")
    return np.array(sorted(subset))


def resized(image, size):
    """A float32 (C, H, W) image at ``size`` × ``size``, antialiased, within [-1, 1]."""
    if size is None or image.shape[1:] == (size, size):
        return image
    channels = [Image.fromarray(c, mode="F").resize((size, size), Image.Resampling.BICUBIC) for c in image]
    return np.clip(np.stack([np.asarray(c, np.float32) for c in channels]), -1, 1)
