"""Images in arrays: scikit-learn's digits, and npz files, with one rule for which arrays are images."""

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
from waypoint.store.data.captions import missing
from waypoint.store.data.faults import some
from waypoint.store.data.images import ImageOptions, Images
from waypoint.store.data.labels import labels_of_array, numbered, texts_of
from waypoint.store.data.source import DataSection, path_of
from waypoint.store.types import StrPath, Values

# everything that numpy raises on a file that is no npz
NPZ_ERRORS = (
    *(OSError, ValueError, EOFError, TypeError, AttributeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error),
)
CHANNELS = (1, 3, 4)
ROUNDING = 1e-5  # that floats may lie outside [-1, 1]
# floats are taken for those of [0, 1] where a share below 0 of at most this goes with no value below that
OF_ZERO_TO_ONE = ((1, -0.05), (1e-2, -0.25), (1e-3, -1.0))
BRIGHT = 0.5  # what one of them reaches
FORMS = "(n, H, W), (n, H, W, C) or (n, C, H, W) with 1, 3 or 4 channels"


class ArrayImages(Images):
    """Images held in memory.

    Args:
        images: (n, 1 or 3, H, W), uint8 or float32 in [-1, 1]. read: files from which they were read.
        options: as of ``Images``.
    """

    def __init__(
        self,
        section: DataSection,
        images: Values,
        files: Sequence[str],
        read: Iterable[str] = (),
        **options: Unpack[ImageOptions],
    ):
        super().__init__(section, files, **options)
        self.images, self._read = images, list(read)

    def pixels(self, i: int) -> Values:
        return self.images[i]

    def grey(self, i: int) -> bool:
        return self.images.shape[1] == 1

    def read_from(self, rows: Sequence[int]) -> list[str]:
        return self._read


def digits(section: DataSection) -> ArrayImages:
    """scikit-learn's 1,797 handwritten 8 × 8 digits, grey levels 0..16."""
    from sklearn.datasets import load_digits  # 1.3 CPU seconds that only this source needs

    bunch = cast(Mapping[str, Values], load_digits())
    images = (bunch["images"][:, None] / 8 - 1).astype(np.float32)
    labels = bunch["target"].astype(np.int64)
    files = [f"digits/{i}" for i in range(len(images))]
    return ArrayImages(section, images, files, labels=labels, class_names=[str(d) for d in range(10)])


def npz(section: DataSection) -> ArrayImages:
    """A file with keys image (n, C, H, W), (n, H, W, C) or (n, H, W), and optionally label and caption.

    Raises:
        WaypointError: a missing key, lengths that differ, or values that the rule of arrays does not take for images.
    """
    path = path_of(section)
    where = f"data.path: {path}"
    check_npz(section)
    arrays, keys = _loaded(path, where, ("image", "label", "caption"))
    images = as_images(arrays["image"], f"{where}: image", _rows(arrays), f"; its keys are {', '.join(keys)}")
    options = _labels_and_captions(arrays, where)
    files = [f"{os.path.basename(path)}/{i}" for i in range(len(images))]
    return ArrayImages(section, images, files, [path], **options)


def _loaded(path: StrPath, where: str, wanted: Sequence[str]) -> tuple[dict[str, Values], list[str]]:
    """The arrays of some keys by key, and the names of all keys."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in wanted if key in archive.files}, archive.files
    except NPZ_ERRORS as error:
        raise WaypointError(f"{where} is no readable npz file ({error})") from error


def _labels_and_captions(arrays: Mapping[str, Values], where: str) -> ImageOptions:
    options: ImageOptions = {}
    if "label" in arrays:
        labels = arrays["label"]
        if labels.dtype.kind in "iu" and labels.min() >= 0:  # the common case needs no texts
            options["labels"], options["class_names"] = numbered(labels.tolist())
        else:
            options["labels"], options["class_names"] = labels_of_array(labels, where)
    if "caption" in arrays:
        options["captions"] = _captions(arrays["caption"], where)
    return options


def check_npz(section: DataSection) -> bool:
    """Check an npz file by its headers, without reading its images; returns whether it has captions.

    Raises:
        WaypointError: as ``npz``, as far as shapes and types tell.
    """
    path = path_of(section)
    where = f"data.path: {path}"
    forms = headers(path, where)
    if "image" not in forms:
        there = f"; it has {', '.join(forms)}" if forms else ""
        raise WaypointError(f"{where} has no key 'image'{there}")
    for key in ("image", "label", "caption"):
        if key in forms and forms[key][1].hasobject:
            kind = "texts, with dtype=str" if key == "caption" else "numbers, all of one shape"
            raise WaypointError(f"{where}: {key} holds Python objects, which an npz may not bring; store {kind}")
    shape, dtype = forms["image"]
    rows = next((forms[key][0][0] for key in ("label", "caption") if key in forms and forms[key][0]), None)
    n = layout(shape, f"{where}: image", rows)[0]
    require_kind(dtype, shape, f"{where}: image", f"; its keys are {', '.join(forms)}")
    for key in ("label", "caption"):
        if key in forms and forms[key][0] != (n,):
            raise WaypointError(f"{where}: {key} has shape {forms[key][0]} for {n} images")
    if unread := [key for key in forms if key not in ("image", "label", "caption")]:
        warnings.warn(
            f"{where}: the keys {some(unread)} are not read; image, label and caption are",
            WaypointWarning,
            stacklevel=2,
        )
    return "captions" in _labels_and_captions(_loaded(path, where, ("label", "caption"))[0], where)


def headers(path: StrPath, where: str) -> dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]]:
    """Shape and type of each array in an npz file by its key; the arrays are not read.

    Raises:
        WaypointError: it is no npz file.
    """
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        forms: dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]] = {}
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".npy"):
                    with archive.open(name) as handle:
                        version = np.lib.format.read_magic(handle)
                        shape, _, dtype = read.get(version, np.lib.format.read_array_header_2_0)(handle)
                        forms[name[: -len(".npy")]] = shape, dtype
        return forms
    except NPZ_ERRORS as error:
        how = ""
        if os.path.splitext(path)[1] == ".npy":
            how = "; np.savez('images.npz', image=np.load('images.npy')) makes one of a .npy file"
        raise WaypointError(f"{where} is no readable npz file ({error}){how}") from error


# ---- the rule of arrays


def as_images(array: Values, where: str, rows: int | None = None, told: str = "") -> Values:
    """An array as images (n, 1 or 3, H, W), uint8 or float32 in [-1, 1]; alpha is laid on white.

    uint8 is 0 to 255. Floats lie in [-1, 1], up to rounding; they are refused where nearly all of them are from 0 on.

    Args:
        array: of a form in ``FORMS``. where: begins error messages. rows: number of images, where something else
            tells it. told: ends messages about values.

    Raises:
        WaypointError: an ambiguous shape, another type, or values out of range.
    """
    from waypoint.store.data.fitting import on_white  # Pillow, of which planning has no need

    images = channels_first(array, layout(array.shape, where, rows)[1])
    require_kind(array.dtype, array.shape, where, told)
    if images.dtype != np.uint8:
        images = _in_range(images, array, where, told)
    return np.stack([on_white(image) for image in images]) if images.shape[1] == 4 else images


def layout(shape: tuple[int, ...], where: str, rows: int | None = None) -> tuple[int, str]:
    """The number of images in an array of this shape, and where its channels are: "none", "first" or "last".

    Raises:
        WaypointError: no images, or a shape that may be read in two ways.
    """
    if len(shape) not in (3, 4) or 0 in shape:
        raise WaypointError(f"{where} has shape {shape}; {FORMS} is needed")
    if len(shape) == 3:
        one = shape[0] == 3 or (shape[2] in CHANNELS and shape[1] != shape[2])
        if one and rows != shape[0]:
            raise WaypointError(
                f"{where} has shape {shape}, which may be one image with channels or {shape[0]} grey ones; add the "
                "axis that is missing: image[None] for one image, image[:, None] for grey ones"
            )
        return shape[0], "none"
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if first and last and shape[1:] != (1, 1, 1):  # an image is rather square than three or four pixels wide
        first, last = shape[2] == shape[3], shape[1] == shape[2]
        if first == last:
            raise WaypointError(
                f"{where} has shape {shape}, whose channels may be the second axis or the last; make it (n, C, H, W) "
                "of images that are no 1, 3 or 4 pixels wide"
            )
    if not first and not last:
        raise WaypointError(f"{where} has shape {shape}; {FORMS} is needed")
    if not first and shape[3] == 4 and shape[0] == 3 and rows is None:
        raise WaypointError(
            f"{where} has shape {shape}, which may be 3 images with transparency, or 4 in colour with the axes "
            "(C, H, W, n); make it (n, C, H, W)"
        )
    return shape[0], "first" if first else "last"


def channels_first(array: Values, channels: str) -> Values:
    """The array as (n, C, H, W), where ``layout`` tells the place of the channels."""
    if channels == "none":
        return array[:, None]
    return array if channels == "first" else array.transpose(0, 3, 1, 2)


def require_kind(dtype: np.dtype[np.generic], shape: Sequence[int], where: str, told: str = "") -> None:
    """Refuse an array whose type is not that of images.

    Raises:
        WaypointError: neither uint8 nor floats.
    """
    if dtype != np.uint8 and dtype.kind != "f":
        raise WaypointError(
            f"{where} must be uint8, or floats within [-1, 1], but it holds {dtype} of shape {tuple(shape)}{told}"
        )


def _in_range(images: Values, array: Values, where: str, told: str) -> NDArray[np.float32]:
    """Floats within [-1, 1], as float32."""
    low, high = images.min(), images.max()
    holds = f"it holds {array.dtype} from {low:.4g} to {high:.4g}, of shape {array.shape}{told}"
    if not np.isfinite([low, high]).all() or max(-low, high) > 1 + ROUNDING:
        raise WaypointError(f"{where} must be uint8, or floats within [-1, 1], but {holds}")
    negative = (images < 0).mean()
    if (low >= 0 and high > low) or (
        high > BRIGHT and any(negative <= share and low >= least for share, least in OF_ZERO_TO_ONE)
    ):
        raise WaypointError(
            f"{where} holds floats in [0, 1], but [-1, 1] is needed; store 2 * image - 1, or uint8 ({holds})"
        )
    return np.clip(images, -1, 1).astype(np.float32)


def _rows(arrays: Mapping[str, Values]) -> int | None:
    """The number of labels or captions, or None without any."""
    return next((len(arrays[key]) for key in ("label", "caption") if key in arrays), None)


def _captions(array: Values, where: str) -> list[str]:
    texts = texts_of(array, where, "caption")
    none = [i for i, text in enumerate(texts) if missing(text)]
    if none:
        raise WaypointError(
            f"{where}: {len(none):,} of {len(texts):,} images have no caption (blank, or nan): {some(none)}; leave "
            "them out, or store captions for them"
        )
    return texts
