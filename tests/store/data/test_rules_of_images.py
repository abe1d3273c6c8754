"""One rule per kind of data, through every source that can have it; expected values come from elsewhere."""

import io
import json
import pickle
import warnings

import numpy as np
import pytest
from every_source import (
    ALL,
    FILES,
    checked,
    images,
    name_of,
    of_experiment,
    of_folder,
    of_npz,
    of_table,
    opened,
    section,
)
from PIL import Image, PngImagePlugin

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.data import image_files
from waypoint.store.data.arrays import as_images, layout
from waypoint.store.data.fitting import fitted
from waypoint.store.data.labels import labels_of, labels_of_array
from waypoint.store.data.sources import SOURCES

ORIENTATIONS = {  # of EXIF: what the stored pixels must go through to stand upright
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def unit(image):
    """uint8 (H, W[, C]) as sources give it."""
    image = image[..., None] if image.ndim == 2 else image
    return image.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1


@pytest.fixture
def root(tmp_path):
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def captioned(given):
    return SOURCES[given["source"]].captioned(given)


def refused(given, *names):
    with pytest.raises(WaypointError) as caught:
        images(given)
    for name in names:
        assert str(name) in str(caught.value)


def warned(given):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", WaypointWarning)
        checked(given)
    return " ".join(str(warning.message) for warning in found)


# ---- pixels


@FILES
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_a_photo_stands_as_its_exif_says(root, given, suffix):
    blocks = np.kron(pixels(2, 3, 3), np.ones((8, 8, 1), np.uint8))  # a JPEG keeps blocks of 8 × 8
    shown = []
    for orientation, upright in ORIENTATIONS.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = {"quality": 100, "subsampling": 0} if suffix == "jpg" else {"lossless": True}
        options = {} if suffix in ("png", "tif") else options
        Image.fromarray(blocks).save(root / f"{orientation}.{suffix}", exif=exif, **options)
        shown.append(upright(blocks))
    found = opened(given(root))
    for i, expected in enumerate(shown):
        found._first = None  # half of them lie on their side
        assert found.read(i) == pytest.approx(unit(expected), abs=0.06)


def test_an_orientation_that_cannot_be_read_is_none(root):
    Image.fromarray(pixels(4, 4, 3)).save(root / "a.png", exif=b"Exif\0\0garbage")
    assert images(of_folder(root)).shape == (1, 3, 4, 4)


@FILES
@pytest.mark.parametrize("values", [np.float32, np.int32])
def test_pixels_whose_black_and_white_nothing_tells_are_refused_by_file(root, given, values):
    Image.fromarray(pixels(4, 4).astype(values)).save(root / "a.tif")
    refused(given(root), "data.path", name_of(given, root, "a.tif"), "floats" if values is np.float32 else "32 bits")


def test_grey_is_grey_with_transparency_too(root):
    array = pixels(4, 4)
    Image.fromarray(np.dstack([array, np.full((4, 4), 255, np.uint8)]), "LA").save(root / "a.png")
    Image.fromarray(array).save(root / "b.png")
    assert np.array_equal(images(of_folder(root)), np.stack([unit(array)] * 2))


@ALL
@pytest.mark.parametrize("channels", [1, 3])
def test_channels_are_those_that_are_asked_for(root, given, channels):
    grey, colour = pixels(4, 4), pixels(4, 4, 3)
    one_kind = given in (of_npz, of_experiment)  # in an array all images have the same channels
    for name, array in {"a": grey, "b": colour}.items():
        if not one_kind or name == "b":
            Image.fromarray(array).save(root / f"{name}.png")
    found = images(given(root, channels=channels))
    luma = np.asarray(Image.fromarray(colour).convert("L"))
    expected = unit(colour) if channels == 3 else unit(luma)
    rounded = 1 / 127 if given is of_experiment else 0  # its store holds floats, whose luma no byte rounds
    assert found[-1] == pytest.approx(expected, abs=1e-6 + rounded)
    if not one_kind:
        assert np.array_equal(found[0], np.repeat(unit(grey), channels, 0))


@pytest.mark.parametrize("source", ["digits", "npz"])
def test_grey_arrays_are_spread_for_a_model_in_colour(tmp_path, source):
    np.savez(tmp_path / "images.npz", image=pixels(5, 4, 4))
    found = SOURCES[source](section(source, tmp_path / "images.npz", channels=3))
    assert found.read(0).shape[0] == 3 and np.array_equal(found.read(0)[0], found.read(0)[2])


@ALL
@pytest.mark.parametrize("fit", ["crop", "squeeze", "pad"])
@pytest.mark.parametrize("shape", [(8, 24), (24, 8)])
def test_oblong_images_come_to_a_square_by_one_rule(root, given, fit, shape):
    bands = np.repeat(np.array([0, 51, 102], np.uint8), 8)
    array = np.broadcast_to(bands[:, None] if shape[0] > shape[1] else bands, shape)
    Image.fromarray(np.ascontiguousarray(array)).save(root / "a.png")
    found = images(given(root, size=24, fit=fit, channels=1))[0, 0]
    found = found if shape[1] > shape[0] else found.T
    if fit == "crop":
        assert found == pytest.approx(np.full((24, 24), 51 / 127.5 - 1))
    elif fit == "squeeze":
        assert found[:, [0, 12, 23]] == pytest.approx(np.tile([-1, 51 / 127.5 - 1, 102 / 127.5 - 1], (24, 1)), abs=1e-5)
    else:
        assert np.array_equal(found[8:16], np.tile(bands / np.float32(127.5) - 1, (8, 1)).astype(np.float32))
        assert (found[:8] == 1).all() and (found[16:] == 1).all()


def test_a_fit_is_the_same_for_bytes_and_floats():
    array = pixels(3, 9, 14)
    for fit in ("crop", "squeeze", "pad"):
        floats = array.astype(np.float32) / 127.5 - 1
        assert fitted(array, 6, fit) == pytest.approx(fitted(floats, 6, fit), abs=1e-6)


@FILES
def test_a_bomb_is_named(root, given, monkeypatch):
    Image.fromarray(pixels(4, 4)).save(root / "a.png")
    Image.new("1", (60, 60)).save(root / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    refused(given(root, size=4), "data.path", name_of(given, root, "bomb.png"), "pixels", "magick")


def test_a_large_photo_is_read_at_a_fraction_of_its_size(root, monkeypatch):
    Image.fromarray(np.kron(pixels(4, 4, 3), np.ones((64, 64, 1), np.uint8))).save(root / "a.jpg", quality=95)
    Image.open(root / "a.jpg").save(root / "b.png")
    whole = images(of_folder(root, size=4))
    monkeypatch.setattr(image_files, "LARGE", 1000)
    assert images(of_folder(root, size=4)) == pytest.approx(whole, abs=0.1)


def test_long_texts_in_a_png_are_no_damage_and_huge_ones_are_named(root, monkeypatch):
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "x" * (2 << 20), zip=True)
    Image.fromarray(pixels(4, 4, 3)).save(root / "a.png", pnginfo=text)
    assert images(of_folder(root)).shape == (1, 3, 4, 4)
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", 1 << 20)
    refused(of_folder(root), "data.path", "a.png")


# ---- arrays


@pytest.mark.parametrize(
    "shape, found",
    [
        ((5, 8, 8), "none"),
        ((5, 8, 8, 3), "last"),
        ((5, 3, 8, 8), "first"),
        ((5, 4, 8, 8), "first"),
        ((5, 8, 8, 4), "last"),
        ((5, 4, 4, 3), "last"),
        ((5, 3, 4, 4), "first"),
        ((5, 1, 4, 4), "first"),
        ((2, 4, 4), "none"),
    ],
)
def test_axes(shape, found):
    assert layout(shape, "x") == (shape[0], found)


@pytest.mark.parametrize(
    "shape",
    [(3, 8, 8), (8, 8, 3), (8, 8), (5, 8, 8, 2), (5, 2, 8, 8), (5, 3, 3, 3), (3, 8, 8, 4), (5, 1, 7, 3), (0, 8, 8)],
)
def test_ambiguous_axes_are_refused_with_the_shape(shape):
    with pytest.raises(WaypointError, match="shape") as caught:
        layout(shape, "x")
    assert str(shape) in str(caught.value)


def test_labels_tell_grey_images_from_one_in_colour(tmp_path):
    np.savez(tmp_path / "a.npz", image=pixels(3, 8, 8), label=np.arange(3))
    assert images(section("npz", tmp_path / "a.npz")).shape == (3, 1, 8, 8)


def test_alpha_of_arrays_is_laid_on_white_as_that_of_files(root):
    array = pixels(6, 6, 4)
    Image.fromarray(array).save(root / "a.png")
    of_files = images(of_folder(root))
    assert np.array_equal(images(of_npz(root)), of_files)
    floats = (array.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
    assert as_images(floats, "x") == pytest.approx(of_files, abs=0.01)


def test_rounding_beyond_the_range_is_clipped_and_more_is_refused_with_what_was_found(tmp_path):
    image = np.linspace(-1, 1, 32).reshape(2, 4, 4)
    np.savez(tmp_path / "a.npz", image=image * (1 + 9e-6))
    assert np.abs(images(section("npz", tmp_path / "a.npz"))).max() == 1
    np.savez(tmp_path / "a.npz", image=image * 1.001, other=image)
    refused(section("npz", tmp_path / "a.npz"), "-1.001 to 1.001", "float64", "(2, 4, 4)", "image, other")


@pytest.mark.parametrize("least, share", [(0.0, 0), (-0.004, 0.1), (-0.2, 0.005), (-0.9, 0.0005)])
def test_floats_nearly_all_above_zero_are_of_zero_to_one(least, share):
    values = np.linspace(0, 1, 20_000)
    values[: int(share * len(values))] = least
    with pytest.raises(WaypointError, match=r"\[0, 1\]"):
        as_images(values.reshape(2, 100, 100), "x")


def test_drawings_on_white_are_none_of_those():
    values = np.ones((2, 1, 100, 100), np.float32)
    values[:, :, 50] = -1
    assert np.array_equal(as_images(values, "x"), values)


def test_an_npz_of_bytes_or_words_is_one_sentence(tmp_path):
    for arrays, names in (
        ({"image": np.array([b"a", b"b"])}, ["image", "shape"]),
        ({"image": pixels(2, 4, 4), "caption": np.array(["né".encode("latin1")] * 2)}, ["caption", "UTF-8"]),
        ({"image": pixels(2, 4, 4), "caption": np.arange(2)}, ["caption", "text", "int64"]),
        ({"image": pixels(2, 4, 4), "caption": np.array(["a", None], object)}, ["caption", "objects", "dtype=str"]),
    ):
        np.savez(tmp_path / "a.npz", **arrays)
        refused(section("npz", tmp_path / "a.npz"), "data.path", "a.npz", *names)
    np.savez(tmp_path / "a.npz", image=pixels(2, 4, 4), labels=np.arange(2))
    assert "labels" in warned(section("npz", tmp_path / "a.npz"))


# ---- labels and captions


@pytest.mark.parametrize(
    "given, labels, names",
    [
        (["0", "10", "2"], [0, 10, 2], [str(k) for k in range(11)]),
        (["2.0", " 2", "02"], [2, 2, 2], ["0", "1", "2"]),
        (["dog", "cat", "dog "], [1, 0, 1], ["cat", "dog"]),
        (["-1", "1"], [0, 1], ["-1", "1"]),
        (["²", "3"], [1, 0], ["3", "²"]),
        (["1.5", "2"], [0, 1], ["1.5", "2"]),
    ],
)
def test_numbers_stay_numbers_and_all_else_is_a_name(tmp_path, given, labels, names):
    found, class_names = labels_of(given)
    assert (found.tolist(), class_names, found.dtype) == (labels, names, np.int64)
    found, class_names = labels_of_array(np.array(given), "x")
    assert (found.tolist(), class_names) == (labels, names)
    for i in range(len(given)):
        Image.fromarray(pixels(4, 4)).save(tmp_path / f"{i}.png")
    (tmp_path / "t.csv").write_text("file,label\n" + "".join(f"{i}.png,{name}\n" for i, name in enumerate(given)))
    tabled = opened(section("imagefolder", tmp_path, captions=str(tmp_path / "t.csv")))
    assert (tabled.labels.tolist(), tabled.class_names) == (labels, names)


def test_folders_named_by_numbers_keep_them(root):
    for name in ("10", "2"):
        (root / name).mkdir()
        Image.fromarray(pixels(4, 4)).save(root / name / "a.png")
    found = opened(of_folder(root))
    assert found.files == ["10/a.png", "2/a.png"] and found.labels.tolist() == [10, 2]


@pytest.mark.parametrize("blank", ["", "  ", "nan", "NaN", "None"])
def test_a_caption_that_says_nothing_is_refused_by_every_source(tmp_path, blank):
    for i in range(3):
        Image.fromarray(pixels(4, 4, 3)).save(tmp_path / f"{i}.png")
    (tmp_path / "t.csv").write_text(f"file,caption\n0.png,a\n1.png,{blank}\n2.png,b\n2.png,{blank}\n")
    table = section("imagefolder", tmp_path, captions=str(tmp_path / "t.csv"))
    said = [{"image_id": i, "caption": text} for i, text in [(0, "a"), (1, blank), (2, "b"), (2, blank)]]
    names = [{"id": i, "file_name": f"{i}.png"} for i in range(3)]
    (tmp_path / "c.json").write_text(json.dumps({"images": names, "annotations": said}))
    coco = section("coco", tmp_path, captions=str(tmp_path / "c.json"), size=4)
    np.savez(tmp_path / "a.npz", image=pixels(3, 4, 4), label=np.arange(3), caption=["a", blank, "b"])
    for given, name in ((table, "line 3"), (coco, "1.png"), (section("npz", tmp_path / "a.npz"), ": 1")):
        with pytest.raises(WaypointError, match="no caption") as caught:
            checked(given)
        assert name in str(caught.value) and "2.png" not in str(caught.value)


def test_whether_there_are_captions_is_known_before_any_image_is_opened(root, tmp_path):
    Image.fromarray(pixels(4, 4)).save(root / "a.png")
    np.savez(tmp_path / "a.npz", image=pixels(2, 4, 4))
    np.savez(tmp_path / "b.npz", image=pixels(2, 4, 4), caption=["a", "b"])
    assert not captioned(of_folder(root)) and captioned(of_table(root))
    assert not captioned(section("npz", tmp_path / "a.npz")) and captioned(section("npz", tmp_path / "b.npz"))
    assert not captioned(section("digits", "")) and not captioned(section("cifar10", ""))


# ---- tables


def test_all_faults_of_a_table_are_told_at_once(root):
    Image.fromarray(pixels(4, 4)).save(root / "a.png")
    rows = [f"gone{k}.png,x" for k in range(12)] + ["a.png,a dog, running", "../a.png,x"]
    (root / "t.csv").write_text("file,caption\n" + "\n".join(rows) + "\n")
    with pytest.raises(WaypointError) as caught:
        checked(section("imagefolder", root, captions=str(root / "t.csv")))
    text = str(caught.value)
    assert "14 faults" in text and "line 2: no file" in text and "line 11:" in text and "and 4 more" in text
    (root / "t.csv").write_text("file,caption\na.png,a dog, running\n")
    refused(
        section("imagefolder", root, captions=str(root / "t.csv")), "line 2", "more cells than the header", "quotes"
    )


# ---- CIFAR-10


def batches(folder, names=range(1, 6), meta=None):
    folder.mkdir(parents=True, exist_ok=True)
    for k in names:
        batch = {b"data": pixels(2, 3072, seed=k), b"labels": [k, 0]}
        (folder / f"data_batch_{k}").write_bytes(pickle.dumps(batch, protocol=2))
    if meta:
        raw = pickle.dumps({b"label_names": [name.encode() for name in meta]}, protocol=2)
        (folder / "batches.meta").write_bytes(raw)
    return folder


def test_cifar_is_its_five_batches_each_once(tmp_path):
    first = batches(tmp_path / "a/cifar-10-batches-py", meta="abcdefghij")
    batches(tmp_path / "a/backup/old/cifar-10-batches-py")
    (first / "._data_batch_1").write_bytes(b"\0\5\26\7")
    (first / "data_batch_1 2").write_bytes(b"a copy")
    (first / "data_batch_1.bin").write_bytes(b"binary")
    found = opened(section("cifar10", tmp_path / "a"))
    assert found.n == 10 and found.labels.tolist() == [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]
    assert found.class_names == list("abcdefghij") and found.files[:3] == [
        f"data_batch_{k}" for k in ("1/0", "1/1", "2/0")
    ]
    assert sorted(found.read_from([0])) == sorted(
        str(first / n) for n in (*(f"data_batch_{k}" for k in range(1, 6)), "batches.meta")
    )


def test_cifar_with_a_batch_missing_or_two_copies_is_refused(tmp_path):
    batches(tmp_path / "a", [1, 2, 4])
    refused(section("cifar10", tmp_path / "a"), "data_batch_3, data_batch_5", "missing")
    for name in "xy":
        batches(tmp_path / "b" / name)
    refused(section("cifar10", tmp_path / "b"), "more than once", "x, y")
    (tmp_path / "c").mkdir()
    (tmp_path / "c/data_batch_1.bin").touch()
    refused(section("cifar10", tmp_path / "c"), "binary version")


def test_an_encoded_image_may_come_from_an_archive(tmp_path):
    """Other sources read from bytes; the rules are the same."""
    raw = io.BytesIO()
    Image.fromarray(pixels(4, 4, 3)).save(raw, "PNG")
    found = image_files.EncodedImages(of_folder(tmp_path), ["a.tar/a.png"], lambda i: io.BytesIO(raw.getvalue()))
    assert np.array_equal(found.read(0), unit(pixels(4, 4, 3)))
    broken = image_files.EncodedImages(of_folder(tmp_path), ["a.tar/b.png"], lambda i: io.BytesIO(b"no image"))
    with pytest.raises(WaypointError, match=r"data\.path: a\.tar/b\.png is not a readable image"):
        broken.read(0)
