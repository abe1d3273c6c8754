"""Data sources behind one interface: an image source has ``n``, ``labels``, ``captions`` and ``read(i)``.

``read(i)`` gives float32 (C, H, W) in [-1, 1]; ``captions[i]`` is a text, or a list of texts to draw from.
Sources: digits, imagefolder, cifar10, npz, emoji, coco.
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
from .coco import captioned_files
from .emoji import named_drawings, require_emoji
from .raw import require_inside

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


class ImageFiles:
    """Image files, opened one at a time. Transparency is laid on white; an image is cropped to a centred square
    only when ``data.size`` asks for a resize.

    Args:
        size: ``data.size``.
        mode: "L" or "RGB"; None: what the first image has.

    Raises:
        WaypointError: an unreadable image, or images of different shapes without ``data.size``.
    """

    def __init__(self, size, files, labels=None, captions=None, mode=None):
        self.files, self.labels, self.captions = files, labels, captions
        self.n, self.size, self.shape = len(files), size, None
        self.mode = mode or ("L" if self._open(0).mode in ("1", "L") else "RGB")
        self.shape = self.read(0).shape

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


def imagefolder(section):
    """Image files under a folder, in path order; the first-level folder names are the classes, if there are any.

    ``data.captions`` names a CSV with columns file (relative to the folder) and caption and/or label; then the
    files that it lists, in the order of their first rows, are the images. A file listed several times has
    several captions.

    Raises:
        WaypointError: no images, or what is wrong with the CSV, by line.
    """
    root = Path(section["path"])
    if section["captions"]:
        return ImageFiles(section["size"], *_listed(root, Path(section["captions"])))
    files, labels = sorted(f for f in root.rglob("*") if f.suffix.lower() in SUFFIXES), None
    if not files:
        raise WaypointError(f"data.path: no images under {root}")
    classes = sorted({f.relative_to(root).parts[0] for f in files if len(f.relative_to(root).parts) > 1})
    if classes and all(len(f.relative_to(root).parts) > 1 for f in files):
        labels = np.array([classes.index(f.relative_to(root).parts[0]) for f in files], np.int64)
    return ImageFiles(section["size"], files, labels)


def _listed(root, table):
    """Files, labels and captions of a captions table; labels and captions None where it has no such column."""
    images = {}
    for line, row in _table_rows(root, table):
        first_line, label, texts = images.setdefault(root / row["file"], (line, row.get("label"), []))
        if line != first_line and "caption" not in row:
            raise WaypointError(f"data.captions: {table} line {line}: {row['file']} is listed twice")
        if row.get("label") != label:
            raise WaypointError(
                f"data.captions: {table} line {line}: {row['file']} has label {row['label']}, "
                f"but {label} in line {first_line}"
            )
        texts.append(row.get("caption"))
    _, given, texts = zip(*images.values())
    captions = [several if len(several) > 1 else several[0] for several in texts]
    names = sorted(set(given) - {None})
    numeric = all(name.isdigit() for name in names)
    labels = np.array([int(name) if numeric else names.index(name) for name in given], np.int64) if names else None
    return list(images), labels, captions if captions[0] is not None else None


def _table_rows(root, table):
    """(line, row) of a captions table, every cell filled and every file there."""
    try:
        with open(table, newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WaypointError(f"data.captions: cannot read {table} ({error})") from error
    known = rows[0][1].keys() if rows else set()
    if "file" not in known or not {"caption", "label"} & known:
        raise WaypointError(f"data.captions: {table} needs the columns file and caption and/or label")
    for line, row in rows:
        for column in {"file", "caption", "label"} & known:
            if not row[column]:
                raise WaypointError(f"data.captions: {table} line {line} has no {column}")
        require_inside(row["file"], f"data.captions: {table} line {line}")
        if not (root / row["file"]).is_file():
            raise WaypointError(f"data.captions: {table} line {line}: no file {root / row['file']}")
    return rows


def emoji(section):
    """Twemoji's drawings, without skin tones and flags; captions are their names, labels their categories.

    Raises:
        WaypointError: the packages are not installed, or no drawings are found.
    """
    files, captions, categories = zip(*named_drawings(*require_emoji(section)))
    names = sorted(set(categories))
    labels = np.array([names.index(category) for category in categories], np.int64)
    return ImageFiles(section["size"], files, labels, list(captions), "RGB")


def coco(section):
    """MS COCO's images in the order of their ids, several captions each, from its official annotations.

    Raises:
        WaypointError: annotations that are missing or malformed.
    """
    files, captions = captioned_files(section["captions"], section["path"])
    return ImageFiles(section["size"], files, captions=captions, mode="RGB")


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


SOURCES = {
    "digits": digits,
    "imagefolder": imagefolder,
    "cifar10": cifar10,
    "npz": npz,
    "emoji": emoji,
    "coco": coco,
}


def chosen(section, n, seed):
    """Positions of the images to use: all, a seeded sample of ``data.subset``, or those it lists; ascending.

    Args:
        n: how many there are, after near-duplicates were left out.

    Raises:
        WaypointError: more images asked for than there are, or an index out of range.
    """
    subset = section["subset"]
    there = (
        f"the source has {n}" if section.get("near_duplicates") is None else f"without near-duplicates there are {n}"
    )
    if subset is None:
        return np.arange(n)
    if isinstance(subset, int):
        if subset > n:
            raise WaypointError(f"data.subset: {subset} images asked for, {there}")
        return np.sort(numpy_stream(seed, "data subset").permutation(n)[:subset])
    if max(subset) >= n:
        raise WaypointError(f"data.subset: index {max(subset)} asked for, {there} images")
    return np.array(sorted(subset))


def drawn_caption(texts, seed, index):
    """The caption of source image ``index``: the text it has, or one of several, whichever others are used."""
    return texts if isinstance(texts, str) else texts[numpy_stream(seed, "caption", index).integers(len(texts))]


def resized(image, size):
    """A float32 (C, H, W) image at ``size`` × ``size``, antialiased, within [-1, 1]."""
    if size is None or image.shape[1:] == (size, size):
        return image
    channels = [Image.fromarray(c, mode="F").resize((size, size), Image.Resampling.BICUBIC) for c in image]
    return np.clip(np.stack([np.asarray(c, np.float32) for c in channels]), -1, 1)
