"""Data sources: float32 (C, H, W) in [-1, 1] from every kind of file; what cannot be read is named."""

import io
import os
import pickle
import shutil
import struct
import sys
import tarfile
import time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from waypoint.errors import WaypointError
from waypoint.store.artifacts.fingerprint import content_hash, quick_look
from waypoint.store.artifacts.source_files import source_record
from waypoint.store.data.fitting import resized
from waypoint.store.data.sources import SOURCES, chosen, drawn_caption


def source(kind, path=None, captions=None, size=None):
    section = {"source": kind, "path": path and str(path), "captions": captions and str(captions), "size": size}
    return SOURCES[kind](section)


def refused(kind, path, *names, **section):
    """Assert that the source cannot be opened or read, and that the message holds all of ``names``."""
    with pytest.raises(WaypointError) as caught:
        opened = source(kind, path, **section)
        for i in range(opened.n):
            opened.read(i)
    for name in names:
        assert str(name) in str(caught.value)


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def in_range(image):
    """uint8 pixels as every source gives them."""
    return image.astype(np.float32) / 127.5 - 1


# ---- digits


def test_digits_are_labelled_images_in_range():
    digits = source("digits")
    images = np.stack([digits.read(i) for i in range(digits.n)])
    assert images.shape == (1797, 1, 8, 8) and images.dtype == np.float32
    assert images.min() == -1 and images.max() == 1
    assert digits.labels.shape == (1797,) and digits.labels.dtype == np.int64
    assert set(digits.labels.tolist()) == set(range(10)) and digits.captions is None


# ---- npz


def npz(folder, **arrays):
    path = folder / "images.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    "stored, expected",
    [
        (pixels(4, 3, 5, 6), lambda a: a),
        (pixels(4, 5, 6, 3), lambda a: a.transpose(0, 3, 1, 2)),
        (pixels(4, 5, 6, 1), lambda a: a.transpose(0, 3, 1, 2)),
        (pixels(4, 5, 6), lambda a: a[:, None]),
    ],
    ids=["channels-first", "channels-last", "one-channel-last", "no-channel"],
)
def test_npz_layouts(tmp_path, stored, expected):
    opened = source("npz", npz(tmp_path, image=stored))
    images = np.stack([opened.read(i) for i in range(opened.n)])
    assert images.dtype == np.float32 and np.array_equal(images, in_range(expected(stored)))
    assert opened.labels is None and opened.captions is None


def test_npz_black_is_minus_one_and_white_one(tmp_path):
    image = source("npz", npz(tmp_path, image=np.array([[[0, 255]]], np.uint8))).read(0)
    assert image.tolist() == [[[-1.0, 1.0]]]


def test_npz_floats_stay_as_they_are(tmp_path):
    images = np.linspace(-1, 1, 32).reshape(2, 1, 4, 4)
    assert np.array_equal(source("npz", npz(tmp_path, image=images)).read(1), images[1].astype(np.float32))


def test_npz_labels_and_captions(tmp_path):
    opened = source("npz", npz(tmp_path, image=pixels(2, 4, 4), label=np.array([7, 3], np.int32), caption=["a", "né"]))
    assert opened.labels.tolist() == [7, 3] and opened.labels.dtype == np.int64
    assert opened.captions == ["a", "né"]


@pytest.mark.parametrize(
    "arrays, name",
    [
        ({"images": pixels(2, 4, 4)}, "'image'"),
        ({"image": np.full((2, 4, 4), 1.01)}, "[-1, 1]"),
        ({"image": np.full((2, 4, 4), np.nan)}, "[-1, 1]"),
        ({"image": np.linspace(0, 1, 32).reshape(2, 4, 4)}, "2 * image - 1"),
        ({"image": np.zeros((2, 4, 4), np.int64)}, "uint8"),
        ({"image": pixels(4, 4)}, "(4, 4)"),
        ({"image": pixels(0, 4, 4)}, "(0, 4, 4)"),
        ({"image": pixels(2, 4, 4), "label": np.arange(3)}, "label has shape (3,) for 2 images"),
        ({"image": pixels(2, 4, 4), "caption": ["a"]}, "caption has shape (1,) for 2 images"),
        ({"image": pixels(2, 4, 4), "label": np.array([0.5, 1])}, "label must be integers or names"),
        ({"image": pixels(2, 4, 4), "label": np.arange(4).reshape(2, 2)}, "label"),
        ({"image": pixels(2, 4, 4), "label": np.int64(3)}, "label"),
        ({"image": pixels(2, 4, 4), "caption": np.array(["a", "b"], dtype=object)}, "npz"),
    ],
)
def test_npz_with_wrong_content_is_refused(tmp_path, arrays, name):
    path = npz(tmp_path, **arrays)
    refused("npz", path, "data.path", path, name)


@pytest.mark.parametrize("damage", ["text", "empty", "truncated", "flipped", "npy"])
def test_npz_that_is_none_is_refused(tmp_path, damage):
    path = npz(tmp_path, image=pixels(2, 4, 4))
    raw = path.read_bytes()
    if damage == "npy":
        with open(path, "wb") as handle:
            np.save(handle, pixels(2, 4, 4))
    else:
        flipped = raw[:150] + bytes([raw[150] ^ 1]) + raw[151:]
        path.write_bytes({"text": b"no archive", "empty": b"", "truncated": raw[:-30], "flipped": flipped}[damage])
    refused("npz", path, "data.path", path)


def test_compressed_npz_with_a_flipped_byte_is_refused(tmp_path):
    path = tmp_path / "images.npz"
    np.savez_compressed(path, image=np.repeat(pixels(4, 8, 1), 8, 2))
    raw = path.read_bytes()
    for at in range(60, len(raw) - 120, 3):  # the compressed pixels: zlib has errors of its own
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 255]) + raw[at + 1 :])
        refused("npz", path, "data.path", path)


# ---- imagefolder


def picture(path, array, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def captions(folder, text):
    table = folder / "captions.csv"
    table.write_text(text, encoding="utf-8")
    return table


def test_folder_reads_its_images_in_path_order(tmp_path):
    stored = {name: pixels(4, 6, 3, seed=i) for i, name in enumerate(["b.png", "a.PNG", "c.bmp"])}
    for name, array in stored.items():
        picture(tmp_path / name, array)
    (tmp_path / "notes.txt").write_text("no image")
    opened = source("imagefolder", tmp_path)
    assert opened.n == 3 and opened.labels is None
    for i, name in enumerate(["a.PNG", "b.png", "c.bmp"]):
        assert opened.read(i).dtype == np.float32
        assert np.array_equal(opened.read(i), in_range(stored[name]).transpose(2, 0, 1))


def test_class_folders_become_labels(tmp_path):
    for name in ["dog/x.png", "cat/deep/y.png", "cat/z.png", "eel/a.png"]:
        picture(tmp_path / name, pixels(4, 4, 3))
    opened = source("imagefolder", tmp_path)
    assert opened.files == ["cat/deep/y.png", "cat/z.png", "dog/x.png", "eel/a.png"]
    assert opened.labels.tolist() == [0, 0, 1, 2] and opened.labels.dtype == np.int64


def test_a_loose_image_among_class_folders_means_no_labels(tmp_path):
    picture(tmp_path / "cat/x.png", pixels(4, 4, 3))
    picture(tmp_path / "y.png", pixels(4, 4, 3))
    assert source("imagefolder", tmp_path).labels is None


def test_grey_images_have_one_channel(tmp_path):
    array = pixels(4, 4)
    picture(tmp_path / "a.png", array)
    opened = source("imagefolder", tmp_path)
    assert np.array_equal(opened.read(0), in_range(array)[None])


def test_a_grey_image_among_coloured_ones_is_spread_over_three_channels(tmp_path):
    picture(tmp_path / "a.png", pixels(4, 4, 3))
    grey = pixels(4, 4)
    picture(tmp_path / "b.png", grey)
    assert np.array_equal(source("imagefolder", tmp_path).read(1), np.stack([in_range(grey)] * 3))


def test_a_grey_image_that_comes_first_is_spread_too(tmp_path):
    grey, coloured = pixels(4, 4), pixels(4, 4, 3)
    picture(tmp_path / "a.png", grey)
    picture(tmp_path / "b.png", coloured)
    opened = source("imagefolder", tmp_path)
    assert np.array_equal(opened.read(0), np.stack([in_range(grey)] * 3))
    assert np.array_equal(opened.read(1), in_range(coloured).transpose(2, 0, 1))


def test_sixteen_bit_grey_keeps_its_range(tmp_path):
    picture(tmp_path / "a.png", np.array([[0, 65535], [32768, 16384]], np.uint16))
    assert source("imagefolder", tmp_path).read(0)[0] == pytest.approx(np.array([[-1, 1], [0, -0.5]]), abs=0.01)


def test_transparency_is_laid_on_white(tmp_path):
    array = np.zeros((1, 3, 4), np.uint8)
    array[0, :, 0] = 255  # red: transparent, half, opaque
    array[0, :, 3] = 0, 128, 255
    picture(tmp_path / "a.png", array)
    image = source("imagefolder", tmp_path).read(0)
    assert image.shape == (3, 1, 3) and (image[0] == 1).all()
    assert image[1, 0] == pytest.approx([1, 0, -1], abs=0.01) and np.array_equal(image[1], image[2])


def test_transparency_of_a_palette_is_laid_on_white(tmp_path):
    picture(tmp_path / "a.gif", np.zeros((2, 2), np.uint8), "P", transparency=0)
    assert (source("imagefolder", tmp_path).read(0) == 1).all()


def test_images_of_other_sizes_need_data_size(tmp_path):
    picture(tmp_path / "a.png", pixels(4, 4, 3))
    odd = picture(tmp_path / "b.png", pixels(4, 5, 3))
    refused("imagefolder", tmp_path, "data.size", odd)
    opened = source("imagefolder", tmp_path, size=2)
    assert resized(opened.read(1), 2).shape == (3, 2, 2)


@pytest.mark.parametrize("shape", [(4, 12), (12, 4)])
def test_data_size_crops_to_the_centred_square(tmp_path, shape):
    bands = np.repeat(np.array([0, 51, 255], np.uint8), 4)
    array = np.broadcast_to(bands[:, None] if shape[0] > shape[1] else bands, shape)
    picture(tmp_path / "a.png", np.ascontiguousarray(array))
    image = resized(source("imagefolder", tmp_path, size=2).read(0), 2)
    assert image.shape == (1, 2, 2) and image == pytest.approx(np.full((1, 2, 2), 51 / 127.5 - 1))


def test_without_data_size_nothing_is_cropped(tmp_path):
    picture(tmp_path / "a.png", pixels(4, 12))
    assert source("imagefolder", tmp_path).read(0).shape == (1, 4, 12)


@pytest.mark.parametrize("damage", [lambda raw: b"no image", lambda raw: b"", lambda raw: raw[:-40]])
@pytest.mark.parametrize("name", ["a.png", "b.png"])
def test_unreadable_images_are_named(tmp_path, name, damage):
    for good in ("a.png", "b.png"):
        picture(tmp_path / good, pixels(8, 8, 3))
    bad = tmp_path / name
    bad.write_bytes(damage(bad.read_bytes()))
    refused("imagefolder", tmp_path, "data.path", bad)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    refused("imagefolder", tmp_path, "data.path", tmp_path)


def test_captions_table_gives_order_captions_and_labels(tmp_path):
    for name in ["a.png", "sub/b.png", "c.png"]:
        picture(tmp_path / name, pixels(4, 4, 3))
    table = captions(tmp_path, 'file,caption,label\nsub/b.png,"a red, round ø",12\na.png,blue,3\n')
    opened = source("imagefolder", tmp_path, captions=table)
    assert opened.files == ["sub/b.png", "a.png"]
    assert opened.captions == ["a red, round ø", "blue"] and opened.labels.tolist() == [12, 3]


def test_captions_table_may_hold_captions_or_labels_alone(tmp_path):
    for name in ["a.png", "b.png"]:
        picture(tmp_path / name, pixels(4, 4, 3))
    captioned = source("imagefolder", tmp_path, captions=captions(tmp_path, "file,caption\na.png,one\nb.png,two\n"))
    assert captioned.captions == ["one", "two"] and captioned.labels is None
    named = source("imagefolder", tmp_path, captions=captions(tmp_path, "file,label\na.png,dog\nb.png,cat\n"))
    assert named.labels.tolist() == [1, 0] and named.captions is None


def test_captions_table_of_a_spreadsheet_begins_with_a_byte_order_mark(tmp_path):
    picture(tmp_path / "a.png", pixels(4, 4, 3))
    table = captions(tmp_path, "\ufefffile,caption\na.png,one\n")
    assert source("imagefolder", tmp_path, captions=table).captions == ["one"]


def test_a_file_listed_several_times_has_several_captions(tmp_path):
    for name in ["a.png", "b.png", "c.png"]:
        picture(tmp_path / name, pixels(4, 4, 3))
    table = captions(
        tmp_path, "file,caption,label\nb.png,one,7\na.png,two,3\nb.png,three,7\n./b.png,one,7\nc.png,four,7\n"
    )
    opened = source("imagefolder", tmp_path, captions=table)
    assert opened.files == ["b.png", "a.png", "c.png"] and opened.n == 3
    assert opened.captions == [["one", "three", "one"], "two", "four"] and opened.labels.tolist() == [7, 3, 7]


@pytest.mark.parametrize(
    "text, names",
    [
        ("file,caption,label\na.png,one,1\na.png,two,1\na.png,three,2\n", ["line 4", "label 2", "1 in line 2"]),
        ("file,label\na.png,1\na.png,1\n", ["line 3", "a.png", "twice"]),
    ],
    ids=["labels that differ", "labels alone"],
)
def test_a_file_listed_several_times_is_one_image(tmp_path, text, names):
    picture(tmp_path / "a.png", pixels(4, 4, 3))
    table = captions(tmp_path, text)
    refused("imagefolder", tmp_path, "data.captions", table, *names, captions=table)


@pytest.mark.parametrize(
    "text, name",
    [
        ("name,caption\na.png,one\n", "columns file"),
        ("file,title\na.png,one\n", "columns file"),
        ("file,caption\n", "columns file"),
        ("file,caption\na.png,one\ngone.png,two\n", "line 3"),
        ("file,caption\n\na.png,one\n\ngone.png,two\n", "line 5"),
        ("file,label,caption\na.png,1,one\na.png\n", "line 3"),
        ("file,label\na.png,1\na.png,\n", "line 3"),
    ],
    ids=["no file", "no caption", "no rows", "missing image", "blank lines", "short row", "empty label"],
)
def test_captions_tables_with_mistakes_are_refused(tmp_path, text, name):
    picture(tmp_path / "a.png", pixels(4, 4, 3))
    table = captions(tmp_path, text)
    refused("imagefolder", tmp_path, "data.captions", table, name, captions=table)


def test_captions_tables_in_another_encoding_are_refused(tmp_path):
    picture(tmp_path / "a.png", pixels(4, 4, 3))
    table = tmp_path / "captions.csv"
    table.write_text("file,caption\na.png,Bär\n", encoding="latin1")
    refused("imagefolder", tmp_path, "data.captions", table, captions=table)


# ---- cifar10


def batch(seed, n=3):
    return {b"data": pixels(n, 3072, seed=seed), b"labels": [(seed + i) % 10 for i in range(n)], b"batch_label": b"x"}


class Python2Pickler(pickle._Pickler):
    """Protocol 2 as Python 2 wrote it: every string a byte string, as in the official archive."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    def save_str(self, value):
        self.save_bytes(value.encode("latin1"))

    dispatch[bytes], dispatch[str] = save_bytes, save_str


def python2(value):
    out = io.BytesIO()
    Python2Pickler(out, protocol=2).dump(value)
    return out.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def python3(value):
    return pickle.dumps(value, protocol=2)


def five(**changes):
    """The files of the five batches, each with three images; ``batch_2=…`` replaces one of them."""
    return {f"data_batch_{k}": changes.get(f"batch_{k}", python2(batch(k - 1))) for k in range(1, 6)}


def archive(folder, files, name="cifar-10-python.tar.gz"):
    with tarfile.open(folder / name, "w:gz") as handle:
        for member, raw in files.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{member}")
            entry.size = len(raw)
            handle.addfile(entry, io.BytesIO(raw))
    return folder / name


def unpacked(folder, files):
    inner = folder / "cifar-10-batches-py"
    inner.mkdir()
    for member, raw in files.items():
        (inner / member).write_bytes(raw)
    return inner


@pytest.mark.parametrize("form", [archive, unpacked])
@pytest.mark.parametrize("write", [python2, python3])
def test_cifar_reads_the_official_format(tmp_path, form, write):
    batches = [batch(seed) for seed in range(5)]
    files = {f"data_batch_{i}": write(b) for i, b in enumerate(batches, 1)}
    # in the archive beside them: never training images
    files |= {"test_batch": write(batch(9)), "batches.meta": write({b"label_names": [b"airplane"]})}
    opened = source("cifar10", form(tmp_path, files))
    assert opened.n == 15
    stored = np.concatenate([b[b"data"] for b in batches]).reshape(-1, 3, 32, 32)
    assert all(np.array_equal(opened.read(i), in_range(stored[i])) for i in range(15))
    assert opened.labels.tolist() == [0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 5, 6] and opened.labels.dtype == np.int64


def test_cifar_takes_the_folder_around_the_batches_too(tmp_path):
    unpacked(tmp_path, five())
    assert source("cifar10", tmp_path).n == 15


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("form", [archive, unpacked])
@pytest.mark.parametrize("place", [lambda trap: trap, lambda trap: {**batch(0), b"more": [trap]}])
def test_cifar_never_runs_what_a_pickle_brings(tmp_path, form, place):
    trap = tmp_path / "sprung"
    raw = python3(place(Trap(trap)))
    pickle.loads(raw)
    assert trap.is_dir()  # the pickle is a real attack
    trap.rmdir()
    refused("cifar10", form(tmp_path, five(batch_1=raw)), "data.path", "mkdir")
    assert not trap.exists()


def test_cifar_allows_no_attribute_of_an_allowed_module(tmp_path):
    raw = b"\x80\x04\x8c\x05numpy\x8c\x09dtype.mro\x93)R."  # calls numpy.dtype.mro()
    refused("cifar10", archive(tmp_path, five(batch_1=raw)), "data.path", "dtype.mro")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no pickle",
        python3(batch(0))[:-500],
        python3([1, 2]),
        python3(3),
        python3({"data": pixels(3, 3072), "labels": [1, 2, 3]}),
        python3({b"data": pixels(3, 3072)}),
        python3({b"data": pixels(3, 3000), b"labels": [1, 2, 3]}),
        python3({b"data": pixels(3, 3072), b"labels": [1, 2]}),
        python3({b"data": pixels(3, 3072), b"labels": ["cat", "dog", "eel"]}),
    ],
    ids=["empty", "garbage", "truncated", "list", "number", "text keys", "no labels", "size", "two labels", "words"],
)
def test_cifar_batches_in_another_format_are_refused(tmp_path, raw):
    path = archive(tmp_path, five(batch_2=raw))
    refused("cifar10", path, "data.path", path, "data_batch_2")


@pytest.mark.parametrize("damage", [lambda raw: b"no archive", lambda raw: b"", lambda raw: raw[: len(raw) // 2]])
def test_cifar_that_is_no_tar_is_refused(tmp_path, damage):
    path = archive(tmp_path, five())
    path.write_bytes(damage(path.read_bytes()))
    refused("cifar10", path, "data.path", path)


def test_cifar_archive_with_a_flipped_byte_is_refused(tmp_path):
    path = archive(tmp_path, five())
    raw = path.read_bytes()
    for at in range(100, len(raw), len(raw) // 20):  # flips that zlib notices itself, and such that only the CRC shows
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        refused("cifar10", path, "data.path", path)


@pytest.mark.parametrize("form", [archive, unpacked])
def test_cifar_without_data_batches_is_refused(tmp_path, form):
    path = form(tmp_path, {"test_batch": python2(batch(0))})
    refused("cifar10", path, "data.path", path, "data_batch")


def pretend_torchvision(monkeypatch, home, download):
    monkeypatch.setenv("HOME", str(home))
    download.filename = "cifar-10-python.tar.gz"
    monkeypatch.setitem(sys.modules, "torchvision.datasets", SimpleNamespace(CIFAR10=download))


def test_cifar_without_a_path_is_downloaded(tmp_path, monkeypatch):
    def download(root, download):
        root.mkdir(parents=True)
        archive(root, five())

    pretend_torchvision(monkeypatch, tmp_path, download)
    assert source("cifar10").n == 15


def test_cifar_without_a_path_and_network_says_what_to_give(tmp_path, monkeypatch):
    def download(root, download):
        raise OSError("no network")

    pretend_torchvision(monkeypatch, tmp_path, download)
    refused("cifar10", None, "data.path", "no network", "cifar-10-python.tar.gz")


# ---- which images, at which size


def test_chosen_is_everything_by_default():
    assert chosen({"subset": None}, 5, 0).tolist() == [0, 1, 2, 3, 4]


def test_chosen_number_is_a_reproducible_sample_of_the_seed():
    first, again, other = (chosen({"subset": 30}, 100, seed).tolist() for seed in (0, 0, 1))
    assert first == again != other
    assert first == sorted(set(first)) and len(first) == 30 and set(first) <= set(range(100))
    assert chosen({"subset": 100}, 100, 0).tolist() == list(range(100))


def test_chosen_sample_is_uniform():
    taken = np.bincount(np.concatenate([chosen({"subset": 5}, 20, seed) for seed in range(800)]), minlength=20)
    assert abs(taken - 200).max() < 5 * (800 * 0.25 * 0.75) ** 0.5  # five standard deviations


def test_chosen_list_is_taken_ascending():
    assert chosen({"subset": [7, 0, 3]}, 8, 0).tolist() == [0, 3, 7]


@pytest.mark.parametrize("subset, name", [(9, "9 images"), ([0, 8], "index 8")])
def test_chosen_refuses_more_than_there_is(subset, name):
    with pytest.raises(WaypointError, match=f"data.subset.*{name}.*8"):
        chosen({"subset": subset}, 8, 0)


@pytest.mark.parametrize("subset, name", [(9, "9 images"), ([0, 8], "index 8")])
def test_chosen_says_when_near_duplicates_are_left_out(subset, name):
    with pytest.raises(WaypointError, match=f"data.subset.*{name}.*without near-duplicates there are 8"):
        chosen({"subset": subset, "near_duplicates": 0.1}, 8, 0)


# ---- one of several captions


def test_the_only_caption_is_taken():
    assert drawn_caption("a dog", 0, 5) == "a dog" == drawn_caption(["a dog"], 0, 5)


def test_a_drawn_caption_depends_on_seed_and_image_alone():
    texts = list("abcde")
    first = [drawn_caption(texts, 0, i) for i in range(50)]
    assert [drawn_caption(texts, 0, i) for i in reversed(range(50))] == first[::-1]
    assert [drawn_caption(texts, 0, np.int64(i)) for i in range(50)] == first  # as rows of an array give it
    assert [drawn_caption(texts, 1, i) for i in range(50)] != first


def test_every_caption_is_drawn_equally_often():
    drawn = [drawn_caption(list("abcde"), 3, i) for i in range(2000)]
    assert all(abs(drawn.count(text) - 400) < 5 * (2000 * 0.2 * 0.8) ** 0.5 for text in "abcde")


def test_resized_leaves_alone_what_fits():
    image = in_range(pixels(3, 8, 8))
    assert resized(image, None) is image and resized(image, 8) is image


@pytest.mark.parametrize("size", [3, 8, 31])
def test_resized_keeps_range_type_and_flat_colour(size):
    image = resized(in_range(pixels(3, 16, 16) // 128 * 255), size)  # hard edges, where bicubic overshoots
    assert image.shape == (3, size, size) and image.dtype == np.float32
    assert image.min() >= -1 and image.max() <= 1
    assert resized(np.full((1, 16, 16), 0.3, np.float32), size) == pytest.approx(np.full((1, size, size), 0.3))


def test_resized_averages_what_it_shrinks():
    stripes = np.tile(np.array([-1, 1], np.float32), (1, 32, 16))
    assert np.abs(resized(stripes, 8)[:, :, 1:-1]).max() < 0.05


# ---- what the raw data is, to notice that it changed


@pytest.fixture
def raw(tmp_path):
    """A folder of images and a table beside it."""
    folder = tmp_path / "images"
    for name in ("cat/a.png", "b.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"12345")
    (tmp_path / "captions.csv").write_bytes(b"file,caption")
    return [str(folder), tmp_path / "captions.csv"]


def test_content_is_the_same_wherever_and_whenever(raw, tmp_path):
    for path in raw:
        os.utime(path, (0, 0))
    copied = [shutil.copytree(raw[0], tmp_path / "copy" / "images"), shutil.copy(raw[1], tmp_path / "copy")]
    assert content_hash(copied) == content_hash(raw)
    assert quick_look(raw) == quick_look(raw)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "c.png").write_bytes(b"1"),
        lambda folder: (folder / "b.png").write_bytes(b"12346"),
        lambda folder: (folder / "b.png").write_bytes(b"123456"),
        lambda folder: (folder / "b.png").rename(folder / "c.png"),
        lambda folder: (folder / "cat/a.png").rename(folder / "a.png"),
        lambda folder: (folder / "cat/a.png").unlink(),
        lambda folder: (folder / "../captions.csv").write_bytes(b"file,label  "),
    ],
    ids=["added", "same size", "longer", "renamed", "moved", "deleted", "table"],
)
def test_every_change_shows_in_look_and_content(raw, tmp_path, change):
    before = source_record(raw)
    time.sleep(0.03)  # longer than a tick of the file system's clock
    change(tmp_path / "images")
    after = source_record(raw)
    assert after["look"] != before["look"] and after["sha256"] != before["sha256"]


def test_a_source_left_out_is_no_source(raw):
    assert source_record([None, None]) is None
    assert source_record([raw[0], None]) == source_record([raw[0]]) != source_record(raw)
