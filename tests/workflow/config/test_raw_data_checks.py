"""Mistakes in raw data, masks, names and places that planning finds."""

import numpy as np
import pytest
from PIL import Image

from waypoint.errors import WaypointError
from waypoint.workflow.config.complete import complete
from waypoint.workflow.config.regions import read_mask

HALF = np.zeros((8, 8), np.uint8)
HALF[:4] = 255


def config(**changes):
    unet = {"sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [8], "norm_num_groups": 4}
    unet |= {"down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"], "layers_per_block": 1}
    made = {
        "experiment": "test",
        "data": {"source": "digits"},
        "model": {"unet": unet},
        "checkpoints": {"count": 1},
        "targets": [{"id": "a", "seed": 1}],
        "attribution": {"steps": [100]},
        "sampling": {"steps": 10},
    }
    return {**made, **changes}


def refused(*names, **changes):
    with pytest.raises(WaypointError) as caught:
        complete(config(**changes))
    for name in names:
        assert name in str(caught.value)


def saved(folder, image, name="mask.png"):
    image.save(folder / name)
    return str(folder / name)


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(HALF),
        Image.fromarray(HALF.astype(np.uint16) * 257),
        Image.fromarray(np.dstack([np.full((8, 8, 3), 255, np.uint8), HALF])),
        Image.fromarray(np.dstack([np.full((8, 8), 255, np.uint8), HALF]), "LA"),
        Image.fromarray(HALF > 0),
    ],
    ids=["grey", "16 bits", "alpha", "grey and alpha", "1 bit"],
)
def test_a_mask_is_what_is_white_and_opaque(tmp_path, image):
    assert np.array_equal(read_mask(saved(tmp_path, image), (8, 8)), HALF / 255)


@pytest.mark.parametrize(
    "image, names",
    [
        (Image.fromarray(HALF // 255), ["no white pixel", "its brightest is 1 of 255"]),
        (Image.fromarray(HALF.astype(np.uint16) * 60), ["no white pixel", "its brightest is 60 of 255"]),
        (Image.fromarray(HALF.astype(np.float32) / 255), ["floats"]),
    ],
    ids=["zero and one", "dim", "floats"],
)
def test_other_masks_are_refused_by_file(tmp_path, image, names):
    file = saved(tmp_path, image, "mask.tif")
    refused("targets[0]", "mask", "mask.tif", *names, targets=[{"id": "a", "seed": 1, "mask": file}])


def test_a_mask_that_is_a_bomb_is_refused(tmp_path, monkeypatch):
    file = saved(tmp_path, Image.new("1", (64, 64), 1))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    refused("targets[0]", "mask.png", "pixels", targets=[{"id": "a", "seed": 1, "mask": file}])


def test_a_name_with_an_underscore_is_told_another():
    refused("targets[0].id", "letters, digits and hyphens", '"my-target"', targets=[{"id": "my_target", "seed": 1}])


def test_a_text_encoder_without_captions_is_refused(tmp_path):
    (tmp_path / "encoder").mkdir()
    made = config(text_encoder={"path": str(tmp_path / "encoder")}, targets=[{"id": "a", "seed": 1, "prompt": "x"}])
    made["model"]["unet"]["cross_attention_dim"] = 8
    np.savez(tmp_path / "a.npz", image=np.zeros((4, 8, 8), np.uint8))
    for data, name in (
        ({"source": "digits"}, "source digits has none"),
        ({"source": "npz", "path": str(tmp_path / "a.npz")}, "the key caption"),
    ):
        with pytest.raises(WaypointError, match="text_encoder: the images have no captions") as caught:
            complete({**made, "data": data})
        assert name in str(caught.value)


def test_channels_and_fit_must_have_a_use():
    refused("data.channels: 3", "model.unet.in_channels is 1", data={"source": "digits", "channels": 3})
    refused("data.fit: pad", "data.size", data={"source": "digits", "fit": "pad"})


def test_a_picture_as_a_trajectory_is_told_what_is_needed(tmp_path):
    file = saved(tmp_path, Image.fromarray(HALF), "made.png")
    refused("targets[0]", "made.png is a picture", "x_t", targets=[{"id": "a", "trajectory": file}])


def test_faults_of_raw_data_stop_the_plan(tmp_path):
    (tmp_path / "photos").mkdir()
    refused("config: data.path: no images", data={"source": "imagefolder", "path": str(tmp_path / "photos")})


def test_a_subset_of_more_images_than_there_are_is_refused(tmp_path):
    refused("data.subset: 9999 images asked for, the source has 1797", data={"source": "digits", "subset": 9999})
    np.savez(tmp_path / "a.npz", image=np.zeros((5, 8, 8), np.uint8))
    given = {"source": "npz", "path": str(tmp_path / "a.npz")}
    refused("data.subset: 6 images asked for, the source has 5", data={**given, "subset": 6})
    refused("data.subset: index 5 asked for", data={**given, "subset": [0, 5]})
