"""The coco source: official annotations, several captions an image, and what is wrong with others."""

import copy
import json

import numpy as np
import pytest
from PIL import Image

from waypoint.errors import WaypointError
from waypoint.store.data.fitting import resized
from waypoint.store.data.sources import SOURCES

IDS = {9: "000000000009.jpg", 25: "000000000025.png", 391895: "000000391895.png"}


def annotations():
    """As in captions_train2017.json: images in no order, captions of all images mixed."""
    images = [{"license": 3, "file_name": IDS[i], "coco_url": "", "height": 6, "width": 9, "id": i} for i in IDS]
    captions = [
        {"image_id": i, "id": 100 * k + i, "caption": f"{i} seen {k}"} for k in range(5) for i in (25, 391895, 9)
    ]
    return {"info": {}, "licenses": [], "images": images[::-1], "annotations": captions}


@pytest.fixture
def folder(tmp_path):
    """Three images of different sizes, with a middle band of their own."""
    root = tmp_path / "train2017"
    root.mkdir()
    for k, name in enumerate(IDS.values()):
        pixels = np.zeros((6, 18 + 6 * k, 3), np.uint8)
        pixels[:, 6 + 3 * k : -6 - 3 * k] = 100 + k
        Image.fromarray(pixels).save(root / name, quality=100)
    return root


def coco(folder, made, size=2):
    path = folder.parent / "captions.json"
    path.write_text(made if isinstance(made, str) else json.dumps(made), encoding="utf-8")
    return SOURCES["coco"]({"source": "coco", "path": str(folder), "captions": str(path), "size": size})


def test_images_in_the_order_of_their_ids_with_all_their_captions(folder):
    opened = coco(folder, annotations())
    assert opened.files == list(IDS.values()) and opened.n == 3
    assert opened.captions == [[f"{i} seen {k}" for k in range(5)] for i in IDS] and opened.labels is None


def test_an_image_is_the_centred_square_at_data_size(folder):
    opened = coco(folder, annotations())
    for k in (1, 2):
        image = resized(opened.read(k), 2)
        assert image == pytest.approx(np.full((3, 2, 2), (100 + k) / 127.5 - 1), abs=1e-5)


def test_a_grey_image_is_spread_over_three_channels(folder):
    Image.fromarray(np.full((4, 4), 51, np.uint8)).save(folder / IDS[9])
    opened = coco(folder, annotations())
    assert opened.read(0).shape == (3, 2, 2) == opened.read(1).shape


def test_blanks_of_a_caption_are_tidied(folder):
    made = annotations()
    made["annotations"][0]["caption"] = " A dog\n on  grass. \n"
    made["annotations"][3]["caption"] = "  "  # no caption at all
    assert coco(folder, made).captions[1] == ["A dog on grass.", "25 seen 2", "25 seen 3", "25 seen 4"]


def test_only_the_images_that_are_read_need_to_be_there(folder):
    (folder / IDS[25]).unlink()
    opened = coco(folder, annotations())
    assert opened.read(2).shape == (3, 2, 2)
    with pytest.raises(WaypointError, match=f"data.path.*{IDS[25]}"):
        opened.read(1)


def without(captions_of=None, **changes):
    made = {**annotations(), **changes}
    made["annotations"] = [entry for entry in made["annotations"] if entry["image_id"] != captions_of]
    return made


def with_entry(part, **entry):
    made = copy.deepcopy(annotations())
    made[part].append(entry)
    return made


@pytest.mark.parametrize(
    "made, name",
    [
        ("", "not in the format"),
        ('{"images": [', "not in the format"),
        ("[]", "not in the format"),
        ({"images": []}, "no 'annotations'"),
        ({"annotations": []}, "no 'images'"),
        ({"images": [3], "annotations": []}, "not in the format"),
        ({"images": [{"id": [1], "file_name": "a.png"}], "annotations": []}, "not in the format"),
        (with_entry("images", id=1), "no 'file_name'"),
        (with_entry("images", id="a", file_name="a.png"), "not in the format"),
        (with_entry("annotations", image_id=9), "no 'caption'"),
        (with_entry("annotations", image_id=9, caption=None), "not in the format"),
        (with_entry("annotations", image_id=9, bbox=[0, 0, 1, 1]), "no 'caption'"),
        (with_entry("annotations", image_id=7, caption="a"), "image 7"),
        (with_entry("images", id=25, file_name="b.png"), "id 25"),
        (with_entry("images", id=26, file_name="b.png"), "image 26 (b.png) has no caption"),
        (without(captions_of=25), f"image 25 ({IDS[25]}) has no caption"),
        ({"images": [], "annotations": []}, "no images"),
    ],
)
def test_annotations_with_mistakes_are_refused(folder, made, name):
    with pytest.raises(WaypointError) as caught:
        coco(folder, made)
    text = str(caught.value)
    assert "data.captions" in text and "captions.json" in text and name in text


def test_annotations_in_another_encoding_are_refused(folder):
    path = folder.parent / "captions.json"
    coco(folder, annotations())
    path.write_bytes(path.read_bytes().replace(b"seen", b"s\xe9en"))
    with pytest.raises(WaypointError, match="data.captions"):
        SOURCES["coco"]({"source": "coco", "path": str(folder), "captions": str(path), "size": 2})


def test_missing_annotations_are_named(folder):
    with pytest.raises(WaypointError, match=r"data\.captions: cannot read .*gone\.json \(No such file"):
        SOURCES["coco"]({"source": "coco", "path": str(folder), "captions": str(folder / "gone.json"), "size": 2})
