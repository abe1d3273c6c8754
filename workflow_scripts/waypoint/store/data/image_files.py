"""Reads images and masks from encoded files, alone or in archives."""

import contextlib
import math
import os
import warnings
from collections.abc import Callable, Generator, Sequence
from typing import IO, Unpack

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from waypoint.errors import WaypointError
from waypoint.store.data.images import ImageOptions, Images
from waypoint.store.data.pixel_kinds import Kind, eight_bits, kind_of
from waypoint.store.types import Attributes, StrPath

LARGEST = 2 * (Image.MAX_IMAGE_PIXELS or 0)  # Pillow's own limit
LARGE = 40_000_000  # pixels; larger images are read at a fraction of their size if data.size is much smaller
FRACTION = 8  # at least this many times data.size remain, so that resizing still averages
GREY = ("1", "L", "LA", "La")
# some programs write whole workflows into the text chunks of a PNG; Pillow's default limit is 1 MB
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 64 << 20
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # ``LARGEST`` is the limit


class EncodedImages(Images):
    """Images that Pillow reads, opened one at a time. Transparency is laid on white.

    Args:
        file_of: returns the path or binary file of image i, for Pillow to open.
        options: as for ``Images``.
    """

    def __init__(
        self,
        section: Attributes,
        files: Sequence[str],
        file_of: Callable[[int], StrPath | IO[bytes]],
        **options: Unpack[ImageOptions],
    ):
        super().__init__(section, files, **options)
        self.file_of = file_of

    def pixels(self, i: int) -> NDArray[np.uint8]:
        """Read image i, uint8 (1 or 3, H, W).

        Raises:
            WaypointError: it cannot be read; names it.
        """
        image, kind = _decoded(self.file_of(i), self.location(i), "data.path", self.size)
        if kind.several:
            self.of_several.add(i)
        image = laid_on(image, "white")
        pixels = np.asarray(image, np.uint8)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)

    def grey(self, i: int) -> bool:
        """Whether image i is grey, by its header.

        Raises:
            WaypointError: it is not an image.
        """
        with _clear_errors(self.location(i), "data.path"), Image.open(self.file_of(i)) as image:
            return image.mode in GREY or image.mode.startswith("I")


class ImageFiles(EncodedImages):
    """Images in files of their own.

    Args:
        paths: (n) paths of the files. beside: other files, from which labels and captions were read.
    """

    def __init__(
        self,
        section: Attributes,
        files: Sequence[str],
        paths: Sequence[StrPath],
        beside: Sequence[StrPath] = (),
        **options: Unpack[ImageOptions],
    ):
        super().__init__(section, files, self._path, **options)
        self.paths, self.beside = paths, list(beside)

    def _path(self, i: int) -> StrPath:
        return self.paths[i]

    def location(self, i: int) -> str:
        return str(self.paths[i])

    def read_from(self, rows: Sequence[int]) -> list[str]:
        return [*map(str, self.beside), *(str(self.paths[i]) for i in rows)]


def decoded(
    file: StrPath | IO[bytes], name: StrPath, key: str = "data.path", target_side: int | None = None
) -> Image.Image:
    """Read an image as viewers show it: upright, with 8 bits a channel; transparency is kept.

    Args:
        file: a path or a binary file. name, key: of the file, for messages.
        target_side: if given, a much larger image may be read at a fraction of its size.

    Raises:
        WaypointError: it is not an image, damaged or too large, or its type of pixels does not define black and white.
    """
    return _decoded(file, name, key, target_side)[0]


def _decoded(
    file: StrPath | IO[bytes], name: StrPath, key: str, target_side: int | None = None
) -> tuple[Image.Image, Kind]:
    """``decoded``, and what the file's header says about the pixels."""
    with _clear_errors(name, key), _binary(file) as handle:
        image = Image.open(handle)
        kind = kind_of(image, name, key)
        side = target_side if target_side is not None and image.width * image.height > LARGE else None
        if side is not None and image.format == "JPEG":
            scale = FRACTION * side / min(image.size)
            image.draft(image.mode, (math.ceil(image.width * scale), math.ceil(image.height * scale)))
        image.load()
        image = eight_bits(_upright(image), kind)
    if image.mode in ("I", "F"):
        contents = "floats" if image.mode == "F" else "whole numbers of 32 bits, or with a sign"
        raise WaypointError(
            f"{key}: {name} holds {contents}, and nothing says which of them are black and white; save it with 8 or 16 "
            "bits a channel, or store the images as npz with floats in [-1, 1]"
        )
    factor = min(image.size) // (FRACTION * side) if side is not None else 0
    if factor < 2 or _transparent(image):
        return image, kind
    return image.convert("L" if image.mode in GREY else "RGB").reduce(factor), kind


@contextlib.contextmanager
def _binary(file: StrPath | IO[bytes]) -> Generator[IO[bytes]]:
    """Open a path as a binary file: Pillow would map it into memory, and then turn some TIFFs by EXIF wrongly."""
    if isinstance(file, str | os.PathLike):
        with open(file, "rb") as handle:
            yield handle
    else:
        yield file


def laid_on(image: Image.Image, background: str) -> Image.Image:
    """Lay a decoded image on a background of one colour: mode L if it is grey, else RGB."""
    grey = image.mode in GREY
    if _transparent(image):
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image.convert("RGBA"))
    return image.convert("L" if grey else "RGB")


def _transparent(image: Image.Image) -> bool:
    return image.mode in ("La", "RGBa") or "A" in image.getbands() or "transparency" in image.info


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image upright by its EXIF data; like viewers, ignore unreadable EXIF data."""
    with contextlib.suppress(Exception):
        return ImageOps.exif_transpose(image) if image.getexif().get(0x0112, 1) != 1 else image
    return image


@contextlib.contextmanager
def _clear_errors(name: StrPath, key: str) -> Generator[None]:
    """Turn any error of Pillow about a file into a ``WaypointError`` of one sentence."""
    try:
        yield
    except (WaypointError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise WaypointError(
            f"{key}: {name} has more than {LARGEST:,} pixels, the limit for one image; make it smaller, "
            f"with `magick mogrify -resize 4096x4096 {str(name)!r}`, say"
        ) from error
    except UnidentifiedImageError as error:  # its own text names an object of Python
        raise WaypointError(f"{key}: {name} is not a readable image (Pillow does not know its contents)") from error
    except Exception as error:  # damaged files fail in many ways, which differ by format
        raise WaypointError(f"{key}: {name} is not a readable image ({error})") from error
