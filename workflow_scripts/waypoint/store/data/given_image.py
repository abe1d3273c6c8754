"""Brings a user's picture to the form of the training images, by the rules for all sources."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from waypoint.errors import WaypointError
from waypoint.store.data.fitting import fitted, with_channels
from waypoint.store.data.image_files import EncodedImages, decoded
from waypoint.store.types import Attributes, StrPath


def open_picture(file: StrPath, key: str) -> None:
    """Refuse a file that is not a picture.

    Args:
        key: names the file in the configuration; for messages.

    Raises:
        WaypointError: it does not exist, or cannot be read.
    """
    if not Path(file).exists():
        raise WaypointError(f"{key}: there is no file {file}")
    decoded(file, file, key)


def fitted_picture(file: StrPath, shape: Sequence[int], fit: str = "crop") -> NDArray[np.float32]:
    """Read a picture in the form of the training images: their channels and size, upright, float32 in [-1, 1].

    Args:
        shape: (C, H, W) of the training images.
        fit: ``data.fit``, how to make a picture square.

    Returns:
        (C, H, W).

    Raises:
        WaypointError: the training images are not square, and the picture has another size.
    """
    channels, height, width = shape
    size = height if height == width else None
    section: Attributes = {"size": size}
    pixels = EncodedImages(section, [str(file)], lambda _: file).pixels(0)
    image = fitted(with_channels(pixels, channels), size, fit)
    if image.shape[1:] != (height, width):
        raise WaypointError(
            f"targets: image: {file} has {image.shape[2]} × {image.shape[1]} pixels, but the training images have "
            f"{width} × {height}; bring it to that size"
        )
    return image
