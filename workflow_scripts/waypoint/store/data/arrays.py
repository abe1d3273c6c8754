"""Images that come as arrays: scikit-learn's digits, and npz files."""

import zipfile
import zlib

import numpy as np

from waypoint.errors import WaypointError

# everything that numpy raises on a file that is no npz
NPZ_ERRORS = (OSError, ValueError, EOFError, TypeError, AttributeError, NotImplementedError)
NPZ_ERRORS += (zipfile.BadZipFile, zlib.error)


class ArraySource:
    """Images held in memory as uint8 or as floats in [-1, 1], (n, C, H, W).

    Args:
        names: what each image is called; default its index. class_names: of labels 0, 1, …
    """

    def __init__(self, images, labels=None, captions=None, names=None, class_names=None):
        self.images, self.labels, self.captions, self.class_names = images, labels, captions, class_names
        self.n = len(images)
        self.names = names or [str(i) for i in range(self.n)]

    def read(self, i):
        """Image i, float32 (C, H, W) in [-1, 1]."""
        image = self.images[i]
        return image.astype(np.float32) / 127.5 - 1 if image.dtype == np.uint8 else image.astype(np.float32)


def digits(section):
    """scikit-learn's 1,797 handwritten 8 × 8 digits, grey levels 0..16."""
    from sklearn.datasets import load_digits  # 1.3 CPU seconds that only this source needs

    found = load_digits()
    images, labels = (found.images[:, None] / 8 - 1).astype(np.float32), found.target.astype(np.int64)
    names = [f"digit-{i:04d}" for i in range(len(images))]
    return ArraySource(images, labels, names=names, class_names=[str(name) for name in found.target_names])


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
