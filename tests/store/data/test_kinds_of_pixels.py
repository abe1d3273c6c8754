"""Every kind of pixels that a file may hold has the same right values through every source, or the same refusal.

Expected values come from arithmetic on the arrays that were written, never from Pillow's conversions.
"""

import socket
import struct
import zlib

import numpy as np
import pytest
from every_source import FILES, images, name_of, opened
from PIL import Image

from waypoint.errors import WaypointError
from waypoint.store.data.given_image import fitted_picture

RNG = np.random.default_rng(0)
GREY, COLOUR = RNG.integers(0, 256, (6, 6), np.uint8), RNG.integers(0, 256, (6, 6, 3), np.uint8)
ALPHA, LONG = RNG.integers(0, 256, (6, 6), np.uint8), RNG.integers(0, 1 << 16, (6, 6), np.uint16)
PLACES = RNG.integers(0, 5, (6, 6), np.uint8)
PALETTE = RNG.integers(0, 256, (5, 3), np.uint8)
COLOUR[0, 0] = PALETTE[0] = (1, 2, 3)
LONG[0, 0] = 500


def on_white(array, alpha):
    share = alpha / 255 if array.ndim == 2 else alpha[..., None] / 255
    return share * array + (1 - share) * 255


def paletted(**options):
    """Write by a palette of five colours."""

    def write(path):
        image = Image.fromarray(PLACES, "P")
        image.putpalette(PALETTE.tobytes())
        image.save(path, **options)

    return write


def saved(array, mode=None, **options):
    return lambda path: Image.fromarray(array, mode).save(path, **options)


def several(path):
    """Write an image and another behind it: pages of a TIFF or frames of a GIF."""
    Image.fromarray(GREY).save(path, save_all=True, append_images=[Image.fromarray(255 - GREY)])


def png_of_sixteen_bits(path):
    """A PNG with 16 bits in each of three channels, which Pillow does not write."""
    rows = np.dstack([LONG, LONG.T, LONG[::-1]]).astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 6, 6, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


CMYK = np.dstack([COLOUR, ALPHA])
BLOCKS = np.kron(RNG.integers(0, 256, (2, 2, 4), np.uint8), np.ones((8, 8, 1), np.uint8))  # as a JPEG keeps them
KEYED = np.where((COLOUR == COLOUR[0, 0]).all(-1)[..., None], 255, COLOUR)
RIGHT = {  # file: (what writes it, its pixels between 0 and 255)
    "bits.png": (saved(GREY > 99), (GREY > 99) * 255),
    "bits.tif": (saved(GREY > 99), (GREY > 99) * 255),
    "grey.png": (saved(GREY), GREY),
    "grey-alpha.png": (saved(np.dstack([GREY, ALPHA]), "LA"), on_white(GREY, ALPHA)),
    "grey-alpha.tif": (saved(np.dstack([GREY, ALPHA]), "LA"), on_white(GREY, ALPHA)),
    "grey-key.png": (saved(GREY, transparency=int(GREY[0, 0])), np.where(GREY == GREY[0, 0], 255, GREY)),
    "long.png": (saved(LONG), LONG / 257),
    "long.tif": (saved(LONG), LONG / 257),
    "long-big.tif": (saved(LONG, big_endian=True), LONG / 257),
    "long.pgm": (saved(LONG), LONG / 257),
    "long.jp2": (saved(LONG, irreversible=False), LONG / 257),
    "long-key.png": (saved(LONG, transparency=500), np.where(LONG == 500, 255, LONG / 257)),
    "long-colour.png": (png_of_sixteen_bits, np.dstack([LONG, LONG.T, LONG[::-1]]) / 257),
    "colour.bmp": (saved(COLOUR), COLOUR),
    "colour.ppm": (saved(COLOUR), COLOUR),
    "colour-alpha.png": (saved(np.dstack([COLOUR, ALPHA])), on_white(COLOUR, ALPHA)),
    "colour-alpha.tif": (saved(np.dstack([COLOUR, ALPHA])), on_white(COLOUR, ALPHA)),
    "colour-alpha.webp": (saved(np.dstack([COLOUR, ALPHA]), lossless=True, exact=True), on_white(COLOUR, ALPHA)),
    "colour-key.png": (saved(COLOUR, transparency=(1, 2, 3)), KEYED),
    "palette.png": (paletted(), PALETTE[PLACES]),
    "palette.gif": (paletted(), PALETTE[PLACES]),
    "palette.bmp": (paletted(), PALETTE[PLACES]),
    "palette-key.gif": (paletted(transparency=0), np.where(PLACES[..., None] == 0, 255, PALETTE[PLACES])),
    "palette-alpha.png": (
        paletted(transparency=bytes([0, 100, 255, 255, 255])),
        on_white(PALETTE[PLACES], np.array([0, 100, 255, 255, 255])[PLACES]),
    ),
    "cmyk.tif": (saved(CMYK, "CMYK"), (255.0 - COLOUR) * (255.0 - ALPHA[..., None]) / 255),
    "cmyk.jpg": (
        saved(BLOCKS, "CMYK", quality=100, subsampling=0),
        (255.0 - BLOCKS[..., :3]) * (255.0 - BLOCKS[..., 3:]) / 255,
    ),
    "pages.tif": (several, GREY),
    "frames.gif": (several, GREY),
}
REFUSED = {
    "floats.tif": (saved(GREY.astype(np.float32)), "floats"),
    "floats.pfm": (saved(GREY.astype(np.float32)), "floats"),
    "words.tif": (saved(GREY.astype(np.int32)), "32 bits"),
    "text.png": (lambda path: path.write_bytes(b"no image"), "not a readable image"),
    "empty.png": (lambda path: path.write_bytes(b""), "not a readable image"),
    **{f"cut.{suffix}": (None, "not a readable image") for suffix in ("png", "jpg", "tif", "gif", "webp")},
}
ROUNDING = 1.03 / 127.5  # of one step of 255
TOLERANCE = {"cmyk.jpg": 0.06, "long-colour.png": 1.01 / 127.5}  # a JPEG's losses; Pillow cuts 16 bits, and rounds not


@pytest.fixture
def root(tmp_path):
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a source on this machine asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def written(root, name):
    """Write a file of ``RIGHT`` or ``REFUSED``; one that is cut lacks its last third."""
    write = {**RIGHT, **REFUSED}[name][0]
    if write is None:
        saved(np.tile(COLOUR, (20, 20, 1)))(root / name)
        raw = (root / name).read_bytes()
        (root / name).write_bytes(raw[: len(raw) * 2 // 3])
    else:
        write(root / name)
    return root / name


def expected(name):
    """float (C, H, W) in [-1, 1]."""
    array = np.asarray(RIGHT[name][1], float)
    return (array[None] if array.ndim == 2 else array.transpose(2, 0, 1)) / 127.5 - 1


@FILES
def test_every_kind_of_pixels_has_its_right_values(root, given):
    for name in RIGHT:
        written(root, name)
    found = opened(given(root))
    names = sorted(RIGHT)
    assert found.n == len(names) and len({found.files[i] for i in range(found.n)}) == found.n
    for i, name in enumerate(names):
        found._first = None  # one of them is larger
        shown = found.read(i)
        assert shown.dtype == np.float32 and shown.shape[0] == 3
        right = np.broadcast_to(expected(name), shown.shape)
        assert shown == pytest.approx(right, abs=TOLERANCE.get(name, ROUNDING)), name


@FILES
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_has_no_right_values_is_refused_by_its_name(root, given, name):
    written(root, name)
    with pytest.raises(WaypointError, match=r"data\.path") as caught:
        images(given(root, channels=3))
    assert name_of(given, root, name) in str(caught.value) and REFUSED[name][1] in str(caught.value)


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_a_picture_that_a_user_gives_as_a_target_follows_the_same_rules(root, name):
    right = expected(name)
    shape = (3, *right.shape[1:])
    found = fitted_picture(written(root, name), shape)
    assert found == pytest.approx(np.broadcast_to(right, shape), abs=TOLERANCE.get(name, ROUNDING))


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_picture_that_a_user_gives_is_refused_for_the_same_reasons(root, name):
    with pytest.raises(WaypointError) as caught:
        fitted_picture(written(root, name), (3, 6, 6))
    assert name in str(caught.value) and REFUSED[name][1] in str(caught.value)
