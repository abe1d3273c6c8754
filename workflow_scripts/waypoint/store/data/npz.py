"""Images in an npz file."""

import os
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.data.arrays import ArrayImages, as_images, layout, require_kind
from waypoint.store.data.captions import is_missing, usable
from waypoint.store.data.faults import some
from waypoint.store.data.images import ImageOptions
from waypoint.store.data.labels import labels_of_array, numbered, texts_of
from waypoint.store.data.source import DataSection, Source, path_of
from waypoint.store.types import StrPath, Values

# everything that numpy raises on a file that is not an npz
NPZ_ERRORS = (
    *(OSError, ValueError, EOFError, TypeError, AttributeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error),
)


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


def check_npz(section: DataSection) -> int:
    """Check an npz file by its headers, without reading its images; returns their number.

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
    _labels_and_captions(_load_arrays(path, context, ("label", "caption"))[0], context)
    return n


def captioned_npz(section: DataSection) -> bool:
    """Return whether an npz file has captions.

    Raises:
        WaypointError: as ``check_npz``.
    """
    check_npz(section)
    return "caption" in headers(path_of(section), "data.path")


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


SOURCE = Source(
    npz,
    needs={"path": "it"},
    reads=(".npz",),
    check=check_npz,
    captioned=captioned_npz,
    caption_help="the npz needs the key caption",
)
