"""CIFAR-10's batches and COCO's annotations that are not as the official ones are refused by file and key."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from waypoint.errors import WaypointError
from waypoint.store.data.sources import SOURCES

GOOD = np.random.default_rng(0).integers(0, 256, (3, 3072), np.uint8)
LABELS = [0, 9, 4]


def cifar(root, **changes):
    for k in range(1, 6):
        batch = {b"data": GOOD, b"labels": LABELS}
        if k == 2:
            batch |= {key.encode(): value for key, value in changes.items()}
        (root / f"data_batch_{k}").write_bytes(pickle.dumps(batch, 2))
    return SOURCES["cifar10"]({"source": "cifar10", "path": str(root), "size": None})


@pytest.mark.parametrize(
    "data",
    [
        GOOD.reshape(3, 3, 32, 32).transpose(0, 2, 3, 1),
        GOOD.reshape(3, 3, 32, 32),
        GOOD.astype(np.float32) / 255,
        GOOD.astype(np.int64) + 1,
        GOOD[0],
    ],
    ids=["channels last", "axes", "floats", "int64", "one image"],
)
def test_other_pixels(tmp_path, data):
    with pytest.raises(WaypointError, match=rf"data_batch_2: data must be uint8 .*3072.* it is {data.dtype} of shape"):
        cifar(tmp_path, data=data)


@pytest.mark.parametrize("labels", [[0.5, 1, 2], [-1, 0, 1], [10, 0, 1], [0, 1], [True, False, True], [[0], [1], [2]]])
def test_other_labels(tmp_path, labels):
    with pytest.raises(WaypointError, match="data_batch_2: labels must be 3 whole numbers from 0 to 9"):
        cifar(tmp_path, labels=labels)


def test_the_official_form_as_arrays(tmp_path):
    found = cifar(tmp_path, labels=np.array(LABELS))
    assert found.labels.tolist() == LABELS * 5 and np.array_equal(found.images[3:6], GOOD.reshape(3, 3, 32, 32))


def test_an_image_of_coco_with_two_ids(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "1.png")
    images = [{"id": 7, "file_name": "1.png"}, {"id": 8, "file_name": "./1.png"}]
    captions = [{"image_id": i, "caption": "a"} for i in (7, 8)]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": captions}))
    section = {"source": "coco", "path": str(tmp_path), "captions": str(tmp_path / "a.json"), "subset": None, "size": 4}
    with pytest.raises(WaypointError, match=r"a\.json: the images 7 and 8 have the same file_name 1\.png"):
        SOURCES["coco"].check(section)
