"""Sheets of small pictures in rows of equal cells without gaps, so that the page fetches few files."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMB, CHOSEN = 64, 128  # pixels of the longer side: training images and estimates, targets
SHARD, ACROSS = 64, 8  # training images per file, and per row of it
LISTED_ACROSS = 16  # images per row of a list's file
LOSSY = 90  # WebP quality of pictures smaller than their images
Values = NDArray[np.floating]


def cell(shape: Sequence[int], longest: int) -> tuple[int, int]:
    """Return the height and width of an image (H, W) scaled down to at most ``longest`` pixels on its longer side."""
    scale = min(1.0, longest / max(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def as_pixels(image: Values, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return an image (C, H, W) in [-1, 1] as bytes (h, w, 3), averaged over pixels if it is scaled down.

    Args:
        size: (h, w).
    """
    levels = np.rint(np.clip((image + 1) / 2, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    levels = np.repeat(levels[..., :1], 3, axis=2) if levels.shape[2] < 3 else np.ascontiguousarray(levels[..., :3])
    if levels.shape[:2] == tuple(size):
        return levels
    return np.asarray(Image.fromarray(levels).resize((size[1], size[0]), Image.Resampling.BOX))


def save_sheet(path: Path, images: Sequence[Values] | Values, across: int, longest: int) -> None:
    """Write images as the cells of one file, from left to right and from top to bottom.

    Images that are not scaled down are compressed without loss.

    Args:
        images: (C, H, W) in [-1, 1], all of one size. across: cells per row.
    """
    size = cell(images[0].shape[1:], longest)
    rows = math.ceil(len(images) / across)
    sheet = np.zeros((rows * size[0], min(across, len(images)) * size[1], 3), np.uint8)
    for k, image in enumerate(images):
        y, x = k // across * size[0], k % across * size[1]
        sheet[y : y + size[0], x : x + size[1]] = as_pixels(image, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    lossless = size == tuple(images[0].shape[1:])
    Image.fromarray(sheet).save(path, "WEBP", lossless=lossless, quality=75 if lossless else LOSSY, method=2)
