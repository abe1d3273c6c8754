"""Images in arrays in memory, and the rule for which arrays are images."""

from collections.abc import Iterable, Sequence
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from waypoint.errors import WaypointError
from waypoint.store.data.images import ImageOptions, Images
from waypoint.store.data.source import DataSection
from waypoint.store.types import Values

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
