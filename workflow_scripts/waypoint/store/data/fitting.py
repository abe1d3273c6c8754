"""Brings images of every source to the same number of channels, and to data.size × data.size pixels."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from waypoint.store.types import Values

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601, like Pillow's conversion to grey
WHITE = {np.dtype(np.uint8): 255, np.dtype(np.float32): 1.0}


def unit(pixels: Values) -> NDArray[np.float32]:
    """Convert pixels, uint8 from 0 to 255 or floats in [-1, 1], to float32 in [-1, 1]."""
    return pixels.astype(np.float32) / 127.5 - 1 if pixels.dtype == np.uint8 else pixels.astype(np.float32)


def with_channels(pixels: Values, channels: int) -> Values:
    """Convert an image (C, H, W) to 1 or 3 channels: grey is repeated three times, colour becomes its luma."""
    if pixels.shape[0] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, 0)
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).convert("L"))[None]
    return np.tensordot(LUMA, pixels, 1)[None].astype(np.float32)


def on_white(pixels: Values) -> Values:
    """Lay an image with alpha (4, H, W), uint8 or float32 in [-1, 1], on white: (3, H, W)."""
    if pixels.dtype == np.uint8:
        image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)), "RGBA")
        composite = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return np.asarray(composite.convert("RGB")).transpose(2, 0, 1)
    alpha = (pixels[3:] + 1) / 2
    return (pixels[:3] * alpha + (1 - alpha)).astype(np.float32)


def fitted(pixels: Values, size: int | None, fit: str = "crop") -> NDArray[np.float32]:
    """Bring an image to the form in which models see it.

    Args:
        pixels: (C, H, W), uint8 or float32 in [-1, 1].
        size: ``data.size``; None keeps the size.
        fit: ``data.fit``, for images that are not square. crop: the central square; squeeze: the whole image,
            distorted; pad: the whole image, with white on both sides.

    Returns:
        float32 (C, H, W) or (C, size, size) in [-1, 1].
    """
    if size is None:
        return unit(pixels)
    height, width = pixels.shape[1:]
    if fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        pixels = pixels[:, top : top + side, left : left + side]
    elif fit == "pad":
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        canvas = np.full((len(pixels), side, side), WHITE[pixels.dtype], pixels.dtype)
        canvas[:, top : top + height, left : left + width] = pixels
        pixels = canvas
    return resized(pixels, size)


def resized(image: Values, size: int | None) -> NDArray[np.float32]:
    """Resize an image (C, H, W), uint8 or float32 in [-1, 1], to ``size`` × ``size``, antialiased, as float32."""
    if size is None or image.shape[1:] == (size, size):
        return image if image.dtype == np.float32 else unit(image)
    # one channel at a time: as float32, a photograph takes four times the memory
    channels = [Image.fromarray(unit(c), mode="F").resize((size, size), Image.Resampling.BICUBIC) for c in image]
    return np.clip(np.stack([np.asarray(c, np.float32) for c in channels]), -1, 1)
