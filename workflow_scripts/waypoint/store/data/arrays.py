"""Images in arrays: scikit-learn's digits and npz files, with one rule for which arrays are images."""

# scikit-learn has no type hints
# pyright: reportMissingTypeStubs=false

import os
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Unpack, cast

import numpy as np
from numpy.typing import NDArray

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.data.captions import is_missing, usable
from waypoint.store.data.faults import some
from waypoint.store.data.images import ImageOptions, Images
from waypoint.store.data.labels import labels_of_array, numbered, texts_of
from waypoint.store.data.source import DataSection, path_of
from waypoint.store.types import StrPath, Values

# everything that numpy raises on a file that is not an npz
NPZ_ERRORS = (
    *(OSError, ValueError, EOFError, TypeError, AttributeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error),
)
CHANNELS = (1, 3, 4)
ROUNDING = 1e-5  # by which floats may exceed [-1, 1]
# (share, lowest): floats count as [0, 1] if at most this share is negative and no value is below ``lowest``,
OF_ZERO_TO_ONE = ((1, -0.05), (1e-2, -0.25), (1e-3, -1.0))
BRIGHT = 0.5  # and one of them exceeds this
FORMS = "(n, H, W), (n, H, W, C) or (n, C, H, W) with 1, 3 or 4 channels"


class ArrayImages(Images):
    """Images held in memory.

    Args:
        images: (n, 1 or 3, H, W), uint8 or float32 in [-1, 1]. raw_files: files from which they were read.
        options: as for ``Images``.
    """

    def __init__(
        self,
        section: DataSection,
        images: Values,
        files: Sequence[str],
        raw_files: Iterable[str] = (),
        **options: Unpack[ImageOptions],
    ):
        super().__init__(section, files, **options)
        self.images, self._raw_files = images, list(raw_files)

    def pixels(self, i: int) -> Values:
        return self.images[i]

    def grey(self, i: int) -> bool:
        return self.images.shape[1] == 1

    def read_from(self, rows: Sequence[int]) -> list[str]:
        return self._raw_files


def digits(section: DataSection) -> ArrayImages:
    """Return scikit-learn's 1,797 handwritten 8 × 8 digits, with grey levels 0..16."""
    from sklearn.datasets import load_digits  # imported lazily: it takes 1.3 CPU seconds

    bunch = cast(Mapping[str, Values], load_digits())
    images = (bunch["images"][:, None] / 8 - 1).astype(np.float32)
    labels = bunch["target"].astype(np.int64)
    files = [f"digits/{i}" for i in range(len(images))]
    return ArrayImages(section, images, files, labels=labels, class_names=[str(d) for d in range(10)])


def npz(section: DataSection) -> ArrayImages:
    """Read a file with keys image (n, C, H, W), (n, H, W, C) or (n, H, W), and optionally label and caption.

    Raises:
        WaypointError: a key is missing, lengths differ, or by the rule for arrays the values are not images.
    """
    path = path_of(section)
    context = f"data.path: {path}"
    check_npz(section)
    arrays, keys = _load_arrays(path, context, ("image", "label", "caption"))
    images = as_images(arrays["image"], f"{context}: image", _row_count(arrays), f"; its keys are {', '.join(keys)}")
    options = _labels_and_captions(arrays, context)
    files = [f"{os.path.basename(path)}/{i}" for i in range(len(images))]
    return ArrayImages(section, images, files, [path], **options)


def _load_arrays(path: StrPath, context: str, keys: Sequence[str]) -> tuple[dict[str, Values], list[str]]:
    """Load the arrays of some keys; returns them by key, and the names of all keys."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in keys if key in archive.files}, archive.files
    except NPZ_ERRORS as error:
        raise WaypointError(f"{context} is not a readable npz file ({error})") from error


def _labels_and_captions(arrays: Mapping[str, Values], context: str) -> ImageOptions:
    options: ImageOptions = {}
    if "label" in arrays:
        labels = arrays["label"]
        if labels.dtype.kind in "iu" and labels.min() >= 0:  # common case, without conversion to text
            options["labels"], options["class_names"] = numbered(labels.tolist())
        else:
            options["labels"], options["class_names"] = labels_of_array(labels, context)
    if "caption" in arrays:
        options["captions"] = _read_captions(arrays["caption"], context)
    return options


def check_npz(section: DataSection) -> bool:
    """Check an npz file by its headers, without reading its images; returns whether it has captions.

    Raises:
        WaypointError: as ``npz``, as far as shapes and types show.
    """
    path = path_of(section)
    context = f"data.path: {path}"
    header_of = headers(path, context)
    if "image" not in header_of:
        key_list = f"; it has {', '.join(header_of)}" if header_of else ""
        raise WaypointError(f"{context} has no key 'image'{key_list}")
    for key in ("image", "label", "caption"):
        if key in header_of and header_of[key][1].hasobject:
            kind = "texts, with dtype=str" if key == "caption" else "numbers, all of one shape"
            raise WaypointError(
                f"{context}: {key} contains Python objects, which are not accepted in an npz; store {kind}"
            )
    shape, dtype = header_of["image"]
    rows = next((header_of[key][0][0] for key in ("label", "caption") if key in header_of and header_of[key][0]), None)
    n = layout(shape, f"{context}: image", rows)[0]
    require_kind(dtype, shape, f"{context}: image", f"; its keys are {', '.join(header_of)}")
    for key in ("label", "caption"):
        if key in header_of and header_of[key][0] != (n,):
            raise WaypointError(f"{context}: {key} has shape {header_of[key][0]} for {n} images")
    if unread := [key for key in header_of if key not in ("image", "label", "caption")]:
        warnings.warn(
            f"{context}: the keys {some(unread)} are not read; image, label and caption are",
            WaypointWarning,
            stacklevel=2,
        )
    return "captions" in _labels_and_captions(_load_arrays(path, context, ("label", "caption"))[0], context)


def headers(path: StrPath, context: str) -> dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]]:
    """Read the shape and type of each array in an npz file, by key, without reading the arrays.

    Raises:
        WaypointError: it is not an npz file.
    """
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        header_of: dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]] = {}
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".npy"):
                    with archive.open(name) as handle:
                        version = np.lib.format.read_magic(handle)
                        shape, _, dtype = readers.get(version, np.lib.format.read_array_header_2_0)(handle)
                        header_of[name[: -len(".npy")]] = shape, dtype
        return header_of
    except NPZ_ERRORS as error:
        hint = ""
        if os.path.splitext(path)[1] == ".npy":
            hint = "; np.savez('images.npz', image=np.load('images.npy')) converts a .npy file"
        raise WaypointError(f"{context} is not a readable npz file ({error}){hint}") from error


# ---- the rule for arrays


def as_images(array: Values, context: str, rows: int | None = None, details: str = "") -> Values:
    """Convert an array to images (n, 1 or 3, H, W), uint8 or float32 in [-1, 1]; alpha is laid on white.

    uint8 is 0 to 255. Floats lie in [-1, 1], up to rounding; they are refused if nearly all are at least 0.

    Args:
        array: of a form in ``FORMS``. context: begins error messages. rows: number of images, if known otherwise.
        details: ends messages about values.

    Raises:
        WaypointError: an ambiguous shape, another type, or values out of range.
    """
    from waypoint.store.data.fitting import on_white  # imported lazily: planning does not need Pillow

    images = channels_first(array, layout(array.shape, context, rows)[1])
    require_kind(array.dtype, array.shape, context, details)
    if images.dtype != np.uint8:
        images = _floats_in_range(images, array, context, details)
    return np.stack([on_white(image) for image in images]) if images.shape[1] == 4 else images


def layout(shape: tuple[int, ...], context: str, rows: int | None = None) -> tuple[int, str]:
    """Return the number of images in an array of this shape, and where its channels are: "none", "first" or "last".

    Raises:
        WaypointError: the shape is not that of images, or is ambiguous.
    """
    if len(shape) not in (3, 4) or 0 in shape:
        raise WaypointError(f"{context} has shape {shape}; {FORMS} is needed")
    if len(shape) == 3:
        may_be_single = shape[0] == 3 or (shape[2] in CHANNELS and shape[1] != shape[2])
        if may_be_single and rows != shape[0]:
            raise WaypointError(
                f"{context} has shape {shape}, which may be one image with channels or {shape[0]} grey ones; add the "
                "axis that is missing: image[None] for one image, image[:, None] for grey ones"
            )
        return shape[0], "none"
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if first and last and shape[1:] != (1, 1, 1):  # images are more likely square than 3 or 4 pixels wide
        first, last = shape[2] == shape[3], shape[1] == shape[2]
        if first == last:
            raise WaypointError(
                f"{context} has shape {shape}, whose channels may be the second axis or the last; make it (n, C, H, W) "
                "of images that are not 1, 3 or 4 pixels wide"
            )
    if not first and not last:
        raise WaypointError(f"{context} has shape {shape}; {FORMS} is needed")
    if not first and shape[3] == 4 and shape[0] == 3 and rows is None:
        raise WaypointError(
            f"{context} has shape {shape}, which may be 3 images with transparency, or 4 in colour with the axes "
            "(C, H, W, n); make it (n, C, H, W)"
        )
    return shape[0], "first" if first else "last"


def channels_first(array: Values, channels: str) -> Values:
    """Transpose an array to (n, C, H, W); ``channels`` is their place from ``layout``."""
    if channels == "none":
        return array[:, None]
    return array if channels == "first" else array.transpose(0, 3, 1, 2)


def require_kind(dtype: np.dtype[np.generic], shape: Sequence[int], context: str, details: str = "") -> None:
    """Refuse an array whose type is not that of images.

    Raises:
        WaypointError: it is neither uint8 nor floats.
    """
    if dtype != np.uint8 and dtype.kind != "f":
        raise WaypointError(
            f"{context} must be uint8, or floats within [-1, 1], but it holds {dtype} of shape {tuple(shape)}{details}"
        )


def _floats_in_range(images: Values, array: Values, context: str, details: str) -> NDArray[np.float32]:
    """Return floats as float32, after checking that they lie within [-1, 1]."""
    low, high = images.min(), images.max()
    contents = f"it holds {array.dtype} from {low:.4g} to {high:.4g}, of shape {array.shape}{details}"
    if not np.isfinite([low, high]).all() or max(-low, high) > 1 + ROUNDING:
        raise WaypointError(f"{context} must be uint8, or floats within [-1, 1], but {contents}")
    negative = (images < 0).mean()
    if (low >= 0 and high > low) or (
        high > BRIGHT and any(negative <= share and low >= lowest for share, lowest in OF_ZERO_TO_ONE)
    ):
        raise WaypointError(
            f"{context} holds floats in [0, 1], but [-1, 1] is needed; store 2 * image - 1, or uint8 ({contents})"
        )
    return np.clip(images, -1, 1).astype(np.float32)


def _row_count(arrays: Mapping[str, Values]) -> int | None:
    """Return the number of labels or captions, or None without any."""
    return next((len(arrays[key]) for key in ("label", "caption") if key in arrays), None)


def _read_captions(array: Values, context: str) -> list[str]:
    texts = texts_of(array, context, "caption")
    uncaptioned = [i for i, text in enumerate(texts) if is_missing(text)]
    if uncaptioned:
        raise WaypointError(
            f"{context}: {len(uncaptioned):,} of {len(texts):,} images have no caption (blank, or nan): "
            f"{some(uncaptioned)}; leave them out, or store captions for them"
        )
    return usable(texts)
