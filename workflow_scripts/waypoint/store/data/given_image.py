"""A picture that somebody has, brought to the form of the training images."""

import numpy as np
from PIL import Image, UnidentifiedImageError

from waypoint.errors import WaypointError
from waypoint.store.data.image_files import ImageFiles, resized

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601, as Pillow makes grey of colour


def open_picture(file, where):
    """Refuse a file that is no picture.

    Args:
        where: the key that names the file, for messages.

    Raises:
        WaypointError: it cannot be read.
    """
    try:
        with Image.open(file) as picture:
            picture.load()
    except FileNotFoundError as error:
        raise WaypointError(f"{where}: there is no file {file}") from error
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise WaypointError(f"{where}: {file} is no readable picture ({error})") from error


def fitted_picture(file, shape):
    """A picture as the training images are: grey or in colour, the centred square resized, float32 in [-1, 1].

    Args:
        shape: (C, H, W) of the training images.

    Returns:
        (C, H, W).

    Raises:
        WaypointError: training images that are no squares, and a picture of another size.
    """
    channels, height, width = shape
    size = height if height == width else None
    image = ImageFiles(size, [file]).read(0)
    if image.shape[0] != channels:
        image = np.repeat(image, 3, 0) if channels == 3 else np.tensordot(LUMA, image, 1)[None].astype(np.float32)
    image = resized(image, size)
    if image.shape[1:] != (height, width):
        raise WaypointError(
            f"targets: image: {file} has {image.shape[2]} × {image.shape[1]} pixels, but the training images have "
            f"{width} × {height}; bring it to that size"
        )
    return image
