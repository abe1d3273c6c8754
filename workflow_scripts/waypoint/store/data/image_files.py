"""Images in encoded files, alone or in archives; masks are read here too."""

import contextlib
import math
import warnings
from collections.abc import Callable, Generator, Sequence
from typing import IO, Unpack

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin

from waypoint.errors import WaypointError
from waypoint.store.data.images import ImageOptions, Images
from waypoint.store.types import Attributes, StrPath

LARGEST = 2 * (Image.MAX_IMAGE_PIXELS or 0)  # where Pillow itself begins to refuse
LARGE = 40_000_000  # pixels; more are read at a fraction of their size where data.size is a small part of it
FRACTION = 8  # times data.size stays, so that the resize still averages
GREY = ("1", "L", "LA", "La")
# programs write whole workflows into the texts of a PNG; Pillow's own limit is 1 MB
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 64 << 20
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # ``LARGEST`` is the limit


class EncodedImages(Images):
    """Images that Pillow reads, opened one at a time. Transparency is laid on white.

    Args:
        opened: returns what Pillow opens for image i: a path, or a binary file.
        options: as of ``Images``.
    """

    def __init__(
        self,
        section: Attributes,
        files: Sequence[str],
        opened: Callable[[int], StrPath | IO[bytes]],
        **options: Unpack[ImageOptions],
    ):
        super().__init__(section, files, **options)
        self.opened = opened

    def pixels(self, i: int) -> NDArray[np.uint8]:
        """Image i, uint8 (1 or 3, H, W).

        Raises:
            WaypointError: it cannot be read; names it.
        """
        image = laid_on(decoded(self.opened(i), self.where(i), small=self.size), "white")
        pixels = np.asarray(image, np.uint8)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)

    def grey(self, i: int) -> bool:
        """Whether image i is grey, by its header.

        Raises:
            WaypointError: it is no image.
        """
        with _named(self.where(i), "data.path"), Image.open(self.opened(i)) as image:
            return image.mode in GREY or image.mode.startswith("I")


class ImageFiles(EncodedImages):
    """Image files.

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

    def where(self, i: int) -> str:
        return str(self.paths[i])

    def read_from(self, rows: Sequence[int]) -> list[str]:
        return [*map(str, self.beside), *(str(self.paths[i]) for i in rows)]


def decoded(
    file: StrPath | IO[bytes], name: StrPath, where: str = "data.path", small: int | None = None
) -> Image.Image:
    """An image in the form in which viewers show it: upright, 8 bits a channel; transparency is kept.

    Args:
        file: a path or a binary file. name, where: in messages, the file and the key.
        small: side at which the image is wanted, where a much larger one may be read at a fraction of its size.

    Raises:
        WaypointError: it is no image, damaged or too large, or its kind of pixels does not tell black from white.
    """
    with _named(name, where):
        image = Image.open(file)
        side = small if small is not None and image.width * image.height > LARGE else None
        if side is not None and image.format == "JPEG":
            scale = FRACTION * side / min(image.size)
            image.draft(image.mode, (math.ceil(image.width * scale), math.ceil(image.height * scale)))
        image.load()
        kind = image.format
        image = _upright(image)
    if image.mode.startswith("I;16") or (image.mode == "I" and kind == "PPM"):  # Pillow would clip, not scale them
        image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    if image.mode in ("I", "F"):
        holds = "floats" if image.mode == "F" else "whole numbers of 32 bits"
        raise WaypointError(
            f"{where}: {name} holds {holds}, and nothing says which of them are black and white; save it with 8 or 16 "
            "bits a channel, or store the images as npz with floats in [-1, 1]"
        )
    factor = min(image.size) // (FRACTION * side) if side is not None else 0
    if factor < 2 or _transparent(image):
        return image
    return image.convert("L" if image.mode in GREY else "RGB").reduce(factor)


def laid_on(image: Image.Image, background: str) -> Image.Image:
    """A decoded image laid on a background of one colour: mode L where it is grey, else RGB."""
    grey = image.mode in GREY
    if _transparent(image):
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image.convert("RGBA"))
    return image.convert("L" if grey else "RGB")


def _transparent(image: Image.Image) -> bool:
    return image.mode in ("La", "RGBa") or "A" in image.getbands() or "transparency" in image.info


def _upright(image: Image.Image) -> Image.Image:
    """The image turned upright by its EXIF data; unreadable EXIF data is ignored, as viewers do."""
    with contextlib.suppress(Exception):
        return ImageOps.exif_transpose(image) if image.getexif().get(0x0112, 1) != 1 else image
    return image


@contextlib.contextmanager
def _named(name: StrPath, where: str) -> Generator[None]:
    """Turn whatever Pillow raises over a file into one sentence."""
    try:
        yield
    except (WaypointError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise WaypointError(
            f"{where}: {name} has more than the {LARGEST:,} pixels that are read of one image; make it smaller, "
            f"with `magick mogrify -resize 4096x4096 {str(name)!r}`, say"
        ) from error
    except Exception as error:  # a damaged file fails in many ways, each format in its own
        raise WaypointError(f"{where}: {name} is no readable image ({error})") from error
