"""A picture that somebody has, brought to the form of the training images by the rules of all sources."""

from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.data.fitting import fitted, with_channels
from waypoint.store.data.image_files import EncodedImages, decoded


def open_picture(file, where):
    """Refuse a file that is no picture.

    Args:
        where: the key that names the file, for messages.

    Raises:
        WaypointError: it is not there, or cannot be read.
    """
    if not Path(file).exists():
        raise WaypointError(f"{where}: there is no file {file}")
    decoded(file, file, where)


def fitted_picture(file, shape, fit="crop"):
    """A picture as the training images are: grey or in colour, upright, of their size, float32 in [-1, 1].

    Args:
        shape: (C, H, W) of the training images.
        fit: ``data.fit``, which says how what is no square becomes one.

    Returns:
        (C, H, W).

    Raises:
        WaypointError: training images that are no squares, and a picture of another size.
    """
    channels, height, width = shape
    size = height if height == width else None
    pixels = EncodedImages({"size": size}, [str(file)], lambda _: file).pixels(0)
    image = fitted(with_channels(pixels, channels), size, fit)
    if image.shape[1:] != (height, width):
        raise WaypointError(
            f"targets: image: {file} has {image.shape[2]} × {image.shape[1]} pixels, but the training images have "
            f"{width} × {height}; bring it to that size"
        )
    return image
