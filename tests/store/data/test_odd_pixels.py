"""Pixels that Pillow leaves as files store them; the right values are worked out by hand here."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from waypoint.errors import WaypointError
from waypoint.store.data.image_files import decoded, laid_on
from waypoint.store.data.sources import SOURCES

TURNED = {3: lambda a: np.rot90(a, 2), 6: lambda a: np.rot90(a, -1), 8: np.rot90}


def opened(root, **more):
    section = {"source": "imagefolder", "path": str(root), "captions": None, "size": None, "fit": "crop"} | more
    SOURCES["imagefolder"].check(section)
    return SOURCES["imagefolder"](section)


def levels(root, i=0):
    """The grey levels from 0 to 255 of an image, as models see it."""
    image = opened(root).read(i)
    assert len(image) == 1
    return np.round((image[0] + 1) * 127.5).astype(int).tolist()


def png(path, bits, rows, transparent=None, colour=0):
    def chunk(kind, raw):
        return struct.pack(">I", len(raw)) + kind + raw + struct.pack(">I", zlib.crc32(kind + raw))

    width = {16: 1 / 2}.get(bits, 8 // bits) * len(rows[0]) // (3 if colour else 1)
    header = struct.pack(">IIBBBBB", int(width), len(rows), bits, colour, 0, 0, 0)
    extra = b"" if transparent is None else chunk(b"tRNS", transparent)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def tiff(path, bits, photometric, data, sample_format=1):
    tags = {256: 2, 257: 2, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1, 278: 2, 279: len(data)}
    tags[339] = sample_format
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    raw = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in sorted(tags.items()))
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + raw + struct.pack("<I", 0) + data)


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind", ["L", "RGB", "RGBA", "I;16"])
def test_an_uncompressed_tiff_stands_upright(tmp_path, kind, orientation):
    grey = np.arange(8, dtype=np.uint8).reshape(2, 4) * 30
    array = {
        "L": grey,
        "I;16": grey.astype(np.uint16) * 257,
        "RGB": np.dstack([grey] * 3),
        "RGBA": np.dstack([grey] * 3 + [np.full_like(grey, 255)]),
    }[kind]
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(array).save(tmp_path / "1.tif", exif=exif)
    image = opened(tmp_path, channels=1).read(0)
    assert np.round((image[0] + 1) * 127.5).astype(int).tolist() == TURNED[orientation](grey).tolist()


def test_a_16_bit_grey_is_white_where_it_is_transparent(tmp_path):
    png(tmp_path / "1.png", 16, [struct.pack(">3H", 0, 32768, 32767)] * 2, struct.pack(">H", 32768))
    assert levels(tmp_path) == [[0, 255, 127]] * 2
    assert np.asarray(laid_on(decoded(tmp_path / "1.png", "1.png"), "black")).tolist() == [[0, 0, 127]] * 2


@pytest.mark.parametrize(
    "bits, row, transparent, on_white, on_black",
    [
        (2, 0b00_01_10_11, 1, [0, 255, 170, 255], [0, 0, 170, 255]),
        (2, 0b00_01_10_11, None, [0, 85, 170, 255], [0, 85, 170, 255]),
        (4, 0x4F, 4, [255, 255], [0, 255]),
        (4, 0x4F, 15, [68, 255], [68, 0]),
        (1, 0b10100000, 1, [255, 0, 255, 0, 0, 0, 0, 0], [0] * 8),
        (1, 0b10100000, 0, [255] * 8, [255, 0, 255, 0, 0, 0, 0, 0]),
        (8, 7, 7, [255], [0]),
        (8, 7, 8, [7], [7]),
    ],
)
def test_a_grey_png_of_few_bits_is_white_where_it_is_transparent(tmp_path, bits, row, transparent, on_white, on_black):
    png(tmp_path / "1.png", bits, [bytes([row])], None if transparent is None else struct.pack(">H", transparent))
    assert levels(tmp_path) == [on_white]
    assert np.asarray(laid_on(decoded(tmp_path / "1.png", "1.png"), "black")).astype(int).tolist() == [on_black]


def test_a_colour_of_16_bits_that_is_transparent(tmp_path):
    row = struct.pack(">6H", 0x8000, 0, 0xFFFF, 0x7F00, 0, 0)
    png(tmp_path / "1.png", 16, [row], struct.pack(">3H", 0x8000, 0, 0xFFFF), colour=2)
    image = np.round((opened(tmp_path).read(0) + 1) * 127.5).astype(int)
    assert image[:, 0].T.tolist() == [[255, 255, 255], [127, 0, 0]]


def test_a_tiff_whose_white_is_zero(tmp_path):
    tiff(tmp_path / "1.tif", 16, 0, struct.pack("<4H", 0, 65535, 32768, 257))
    assert levels(tmp_path) == [[255, 0], [127, 254]]
    tiff(tmp_path / "1.tif", 8, 0, bytes([0, 255, 128, 1]))
    assert levels(tmp_path) == [[255, 0], [127, 254]]
    tiff(tmp_path / "1.tif", 16, 1, struct.pack("<4H", 0, 65535, 32768, 257))
    assert levels(tmp_path) == [[0, 255], [128, 1]]


def test_a_tiff_of_12_bits_is_scaled_by_its_header(tmp_path):
    tiff(tmp_path / "1.tif", 12, 1, bytes([0x00, 0x0F, 0xFF, 0x80, 0x00, 0x10]))  # 0, 4095; 2048, 16
    assert levels(tmp_path) == [[0, 255], [128, 1]]


@pytest.mark.parametrize("bits", [8, 16])
def test_whole_numbers_with_a_sign_are_refused(tmp_path, bits):
    tiff(tmp_path / "1.tif", bits, 1, struct.pack("<4b" if bits == 8 else "<4h", -100, 0, 100, 127), sample_format=2)
    with pytest.raises(
        WaypointError, match=r"1\.tif holds whole numbers.* with a sign, and.*save it with 8 or 16 bits"
    ):
        opened(tmp_path).read(0)


def fits():
    cards = ["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    2"]
    cards += ["NAXIS1  =                    2", "NAXIS2  =                    2", "END"]
    return "".join(card.ljust(80) for card in cards).encode().ljust(2880) + bytes(4).ljust(2880, b"\0")


def test_fits_is_not_read(tmp_path):
    (tmp_path / "1.fits").write_bytes(fits())
    with pytest.raises(WaypointError, match=r"no images under .*1 \.fits.*magick mogrify -format png '\*\.fits'"):
        opened(tmp_path)
    with pytest.raises(WaypointError, match=r"targets: 1\.png is a file of the format FITS, which is not read"):
        decoded(io.BytesIO(fits()), "1.png", "targets")


def test_files_with_several_pictures_are_counted(tmp_path):
    frames = [Image.new("L", (4, 4), value) for value in (10, 100)]
    for name in ("1.tif", "2.gif", "3.png", "4.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
    for name in ("5.tif", "6.gif", "7.png"):
        frames[0].save(tmp_path / name)
    frames[0].save(tmp_path / "8.jpg", "MPO", save_all=True, append_images=frames[1:])  # a photograph and its preview
    found = opened(tmp_path)
    for i in range(found.n):
        assert np.abs((found.read(i)[0] + 1) * 127.5 - 10).max() < 2
    assert found.of_several == {0, 1, 2, 3}


def test_files_are_closed_again(tmp_path):
    frames = [Image.new("L", (4, 4), value) for value in (10, 100)]
    frames[0].save(tmp_path / "1.tif", save_all=True, append_images=frames[1:])
    with contextlib.closing(open(tmp_path / "1.tif", "rb")) as handle:
        decoded(handle, "1.tif")
        assert not handle.closed  # it belongs to the caller
