"""Data of another kind than its source reads is named for what it is, with what reads or converts it."""

import gzip
import json
import struct
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from waypoint.errors import WaypointError
from waypoint.store.data.kinds import kind_of, refuse_other_kind
from waypoint.store.data.sources import SOURCES


@pytest.fixture
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (4, 4)).save("x.png")
    for folder in ("photos", "tars", "parquet", "saved", "splits", "lmdb", "empty", "heic"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (4, 4)).save("photos/x.png")
    with tarfile.open("x.tar", "w") as tar:
        tar.add("x.png")
    for name in ("x.tar.gz", "x.parquet", "x.h5", "x.heic", "x.npz", "x.pt", "x.rar", "x.lmdb", "x.what", "x.tfrecord"):
        (tmp_path / name).write_bytes(b"x")
    for name in (
        "X.ZIP",
        "x.bin.gz",
        "train-images-idx3-ubyte.gz",
        "train-images.idx3-ubyte",
        "tars/a.tar",
        "tars/b.tar",
        "tars/README.md",
        "parquet/a.parquet",
        "lmdb/data.mdb",
        "lmdb/lock.mdb",
        "heic/a.heic",
    ):
        (tmp_path / name).write_bytes(b"x")
    for name in ("saved/dataset_info.json", "saved/state.json", "splits/dataset_dict.json"):
        (tmp_path / name).write_text(json.dumps({}))
    np.save("x.npy", np.zeros((2, 4, 4), np.uint8))
    with zipfile.ZipFile("x.zip", "w") as archive:
        archive.write("x.png")
    return tmp_path


@pytest.mark.parametrize(
    "source, path, words",
    [
        ("imagefolder", "x.tar", ["x.tar is a tar file and not a folder", "source webdataset reads it"]),
        ("imagefolder", "x.tar.gz", ["compressed tar file", "`mkdir images; tar -xzf x.tar.gz -C images`"]),
        ("imagefolder", "tars", ["tars holds nothing but files that are each a tar file", "webdataset"]),
        ("imagefolder", "x.parquet", ["a parquet file", "source huggingface reads it"]),
        ("imagefolder", "parquet", ["parquet", "source huggingface reads it"]),
        ("imagefolder", "saved", ["saved is a folder of save_to_disk", "source huggingface reads it"]),
        ("imagefolder", "splits", ["splits is a folder of save_to_disk", "source huggingface reads it"]),
        ("imagefolder", "lmdb", ["lmdb is an LMDB database", "lmdb.open('lmdb', subdir=True"]),
        ("imagefolder", "x.lmdb", ["LMDB database", "lmdb.open('x.lmdb', subdir=False"]),
        ("imagefolder", "x.h5", ["an HDF5 file", "h5py.File('x.h5')"]),
        ("imagefolder", "x.heic", ["a photograph in HEIC", "`magick mogrify -format png x.heic`"]),
        ("imagefolder", "x.npz", ["x.npz is an npz file and not a folder", "source npz reads it"]),
        ("imagefolder", "x.npy", ["a single array of numpy", "np.load('x.npy')"]),
        ("imagefolder", "x.png", ["x.png is one image and not a folder; name ."]),
        ("imagefolder", "x.what", ["x.what is not a folder"]),
        ("imagefolder", "x.tfrecord", ["a file of TensorFlow", "export its images"]),
        ("coco", "x.zip", ["a zip archive and not a folder", "`unzip x.zip -d images` unpacks it"]),
        ("npz", "x.parquet", ["a parquet file", "source huggingface reads it"]),
        ("npz", "x.npy", ["np.savez('images.npz'"]),
        ("npz", "x.zip", ["source imagefolder reads it"]),
        ("npz", "x.pt", ["a file of PyTorch", "torch.load('x.pt'"]),
        ("npz", "saved", ["save_to_disk"]),
        ("webdataset", "x.parquet", ["source huggingface reads it"]),
        ("webdataset", "x.zip", ["source imagefolder reads it"]),
        ("huggingface", "x.tar", ["webdataset reads it"]),
        ("cifar10", "x.parquet", ["source huggingface reads it"]),
        ("imagefolder", "x.rar", ["`7z x x.rar -oimages`"]),
        ("imagefolder", "x.bin.gz", ["a compressed file", "`gunzip x.bin.gz` unpacks it"]),
        ("imagefolder", "train-images-idx3-ubyte.gz", ["MNIST in the format idx", "gzip.open(", "source npz reads"]),
        ("npz", "train-images.idx3-ubyte", ["MNIST in the format idx", "open('train-images.idx3-ubyte', 'rb')"]),
        ("webdataset", "X.ZIP", ["a zip archive", "source imagefolder reads it"]),
    ],
)
def test_another_kind_is_named(there, source, path, words):
    with pytest.raises(WaypointError) as caught:
        refuse_other_kind(path, SOURCES[source], SOURCES)
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    "source, path",
    [
        ("imagefolder", "photos"),
        ("imagefolder", "empty"),
        ("imagefolder", "heic"),
        ("imagefolder", "x.zip"),
        ("imagefolder", "gone"),
        ("npz", "x.npz"),
        ("npz", "x.what"),
        ("webdataset", "tars"),
        ("webdataset", "x.tar"),
        ("huggingface", "parquet"),
        ("huggingface", "saved"),
        ("huggingface", "splits"),
        ("huggingface", "owner/name"),
        ("cifar10", "x.tar.gz"),
    ],
)
def test_what_a_source_reads_is_its_own_business(there, source, path):
    refuse_other_kind(path, SOURCES[source], SOURCES)


def test_images_beside_a_mark_are_images(there):
    (there / "photos/metadata.jsonl").write_text("")
    (there / "photos/dataset_info.json").write_text("{}")
    assert kind_of("photos") is None


def test_the_command_for_an_array_works(there):
    """The one that needs nothing beyond numpy, run as it is told."""
    with pytest.raises(WaypointError) as caught:
        refuse_other_kind("x.npy", SOURCES["npz"], SOURCES)
    command = str(caught.value).split("`")[1].replace("python ", f"{sys.executable} ", 1)
    subprocess.run(command, shell=True, check=True)
    section = {"source": "npz", "path": "images.npz", "captions": None, "size": None}
    assert SOURCES["npz"](section).n == 2


@pytest.mark.parametrize("name, opened", [("train-images-idx3-ubyte", open), ("t10k-images-idx3-ubyte.gz", gzip.open)])
def test_the_command_for_mnist_works(there, name, opened):
    images = np.arange(2 * 28 * 28).reshape(2, 28, 28).astype(np.uint8)
    (there / "raw").mkdir()
    with opened(f"raw/{name}", "wb") as file:
        file.write(struct.pack(">4I", 0x803, 2, 28, 28) + images.tobytes())
    (there / f"raw/{name.replace('images-idx3', 'labels-idx1')}").write_bytes(b"x")
    commands = set()
    for source, path in (("imagefolder", "raw"), ("npz", f"raw/{name}")):
        section = {"source": source, "path": path, "captions": None, "size": None}
        with pytest.raises(WaypointError) as caught:
            refuse_other_kind(path, SOURCES[source], SOURCES)
            SOURCES[source].check(section)
        commands.add(str(caught.value).split("`")[1].replace("raw/", ""))
    (command,) = commands
    subprocess.run(command.replace("python ", f"{sys.executable} ", 1), shell=True, check=True, cwd="raw")
    found = SOURCES["npz"]({"source": "npz", "path": "raw/images.npz", "captions": None, "size": None})
    assert np.array_equal(found.images[:, 0], images)
