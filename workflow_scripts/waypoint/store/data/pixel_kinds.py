"""Kinds of pixels that Pillow leaves as the file stores them, brought to 8 bits a channel, or refused."""

from collections.abc import Mapping
from typing import NamedTuple, cast

import numpy as np
from PIL import Image

from waypoint.errors import WaypointError
from waypoint.store.data.listing import NOT_READ

SEVERAL = {"TIFF", "GIF", "WEBP", "PNG", "AVIF", "DCX", "FLI"}  # not MPO, whose further pictures are previews
# by which factor Pillow multiplies the grey levels of a PNG, but not the level that is transparent
PNG_FACTORS = {"L;2": 85, "L;4": 17}
PHOTOMETRIC, BITS, SAMPLE_FORMAT = 262, 258, 339  # tags of TIFF
SIGNED = 2  # a value of SAMPLE_FORMAT


class Kind(NamedTuple):
    """What a file's header says about its pixels, read before Pillow loads them.

    Attributes:
        file_format: as Pillow names it. several: whether the file holds further pictures.
        white: the level of white in files with more than 8 bits a channel. inverted: whether 0 is white there.
        transparent: the level or colour that is transparent, in the levels that Pillow makes of the file's; or None.
    """

    file_format: str
    several: bool
    white: int
    inverted: bool
    transparent: int | tuple[int, ...] | None


def kind_of(image: Image.Image, name: object, key: str) -> Kind:
    """Read the kind of an opened image's pixels.

    Args:
        name, key: of the file, for messages.

    Raises:
        WaypointError: Pillow reads such pixels wrong.
    """
    file_format = image.format or ""
    if file_format in NOT_READ:
        raise WaypointError(
            f"{key}: {name} is a file of the format {file_format}, which is not read; `magick` makes a PNG of it"
        )
    tags: Mapping[int, object] = getattr(image, "tag_v2", {}) if file_format == "TIFF" else {}
    if SIGNED in _several(tags.get(SAMPLE_FORMAT)) and image.mode != "I":  # mode I is refused as such
        raise WaypointError(
            f"{key}: {name} holds whole numbers with a sign, and nothing says which of them are black and white; save "
            "it with 8 or 16 bits a channel without a sign"
        )
    return Kind(
        file_format,
        file_format in SEVERAL and bool(getattr(image, "is_animated", False)),
        (1 << (12 if 12 in _several(tags.get(BITS)) else 16)) - 1,
        tags.get(PHOTOMETRIC) == 0,
        _transparent_level(image) if file_format == "PNG" else None,
    )


def eight_bits(image: Image.Image, kind: Kind) -> Image.Image:
    """Scale a loaded grey image of more than 8 bits to 8, with black at 0; what is transparent stays so.

    Returns:
        the image itself if it has 8 bits; of a PNG, with the level that is transparent in Pillow's levels.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and kind.file_format == "PPM"):
        levels = np.asarray(image)
        scaled = np.minimum(levels, kind.white) / (kind.white / 255)  # Pillow would clip 16 bits
        grey = Image.fromarray((255 - scaled if kind.inverted else scaled).round().astype(np.uint8))
        if kind.transparent is None:
            return grey
        return Image.merge("LA", [grey, Image.fromarray(np.where(levels == kind.transparent, 0, 255).astype(np.uint8))])
    if kind.transparent is not None:
        image.info["transparency"] = kind.transparent
    return image


def _transparent_level(image: Image.Image) -> int | tuple[int, ...] | None:
    """Return the transparent level or colour of an opened PNG, or None; palettes keep theirs."""
    transparency: object = image.info.get("transparency")
    tiles = cast(list[tuple[object, ...]], getattr(image, "tile", []))
    raw_mode = tiles[0][3] if tiles else None
    if isinstance(transparency, tuple):  # Pillow keeps the upper 8 of 16 bits
        colour = cast(tuple[int, ...], transparency)
        return tuple(level >> 8 for level in colour) if raw_mode == "RGB;16B" else colour
    if not isinstance(transparency, int) or image.mode == "P":
        return None
    return transparency * PNG_FACTORS.get(str(raw_mode), 1)


def _several(value: object) -> tuple[object, ...]:
    """Return a tag's value as a tuple; Pillow gives single values without one."""
    return cast(tuple[object, ...], value) if isinstance(value, tuple) else () if value is None else (value,)
