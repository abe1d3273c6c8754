"""Targets that are pictures somebody has: keys, defaults, and what is refused before the first job."""

import copy

import pytest
from PIL import Image
from support import UNET

from waypoint.errors import WaypointError
from waypoint.workflow.config.complete import complete

BASE = {
    "experiment": "test",
    "data": {"source": "digits", "subset": 60},
    "model": {"unet": UNET},
    "checkpoints": {"count": 4},
    "attribution": {"steps": [100, 300, 400]},
    "targets": [{"id": "s", "seed": 1}, {"id": "hers", "image": "made.png"}],
}


@pytest.fixture(autouse=True)
def picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (20, 14), "red").save("made.png")


def config(row=None, **sections):
    made = copy.deepcopy({**BASE, **sections})
    made["targets"][1] |= row or {}
    return complete(made)


def message(row=None, **sections):
    with pytest.raises(WaypointError) as caught:
        config(row, **sections)
    return str(caught.value)


def test_an_image_has_defaults_and_other_targets_do_not():
    seeded, given = config()["targets"]
    assert given["inversion"] == "ddpm" and given["noises"] == 4
    assert not {"inversion", "noises"} & seeded.keys()
    assert "noises" not in config({"inversion": "ddim"})["targets"][1]


def test_named_masks_of_an_image_share_it():
    masks = [{"name": "left", "mask": [0, 0, 4, 8]}, {"name": "right", "mask": [4, 0, 8, 8]}]
    rows = config({"mask": masks})["targets"][1:]
    assert [row["id"] for row in rows] == ["hers-left", "hers-right"]
    assert {row["image"] for row in rows} == {"made.png"} and {row["whole"] for row in rows} == {"hers"}


@pytest.mark.parametrize("more", [{"seed": 3}, {"trajectory": "own.npz"}])
def test_a_target_comes_from_one_thing(more):
    assert message(more) == "config: targets[1] (hers): give one of seed, trajectory and image"


def test_keys_of_images_belong_to_images():
    for key, value in (("inversion", "ddpm"), ("noises", 2)):
        targets = [{"id": "s", "seed": 1, key: value}, BASE["targets"][1]]
        words = f"config: targets[0] (s): {key} is for targets with an image; leave it out"
        assert message(targets=targets) == words


def test_ddim_has_no_noises():
    words = message({"inversion": "ddim", "noises": 2})
    assert words.startswith("config: targets[1] (hers): noises: inversion ddim adds no noise; leave the key out")


@pytest.mark.parametrize("content", [None, b"no picture", b"\x89PNG\r\n\x1a\n damaged"])
def test_a_file_that_is_no_picture_is_named(tmp_path, content):
    where = "config: targets[1] (hers): image: "
    if content is None:
        assert message({"image": "nowhere.png"}) == f"{where}there is no file nowhere.png"
        return
    (tmp_path / "bad.png").write_bytes(content)
    assert message({"image": "bad.png"}).startswith(f"{where}bad.png is not a readable image (")


def test_steps_lie_on_the_models_grid():
    assert "config: targets[1] (hers): step 437 is not on the sampling grid" in message({"steps": [437]})


def test_what_generates_the_image_again_refuses_added_noise_by_name():
    forgetting = {"forgetting": {"targets": ["hers"], "n_remove": [5]}}
    words = "config: evaluation.forgetting.targets: hers is an image with inversion ddpm, from which no model generates"
    assert message(evaluation=forgetting).startswith(words)
    config({"inversion": "ddim"}, evaluation=forgetting)
    config(evaluation={"counterfactual": {"targets": ["hers"], "n_remove": [5], "images": 3000}})


def test_seed_consistency_is_about_seeds():
    words = "config: evaluation.seed_consistency.targets: hers is an image, which no seed makes; leave it out"
    assert message(evaluation={"seed_consistency": {"targets": ["hers"]}}) == words
    config(evaluation={"seed_consistency": {}})


def test_without_training_images_there_is_nothing_to_compare_with(tmp_path):
    (tmp_path / "m").mkdir()
    made = {**BASE, "data": None, "checkpoints": {"paths": ["./m"]}}
    del made["model"], made["attribution"]
    with pytest.raises(WaypointError, match=r"config: targets\[1\].image needs training images"):
        complete(made)


def test_images_may_come_in_a_table(tmp_path):
    (tmp_path / "t.csv").write_text("id,seed,image,inversion,noises\na,1,,,\nb,,made.png,ddpm,2\nc,,made.png,ddim,\n")
    rows = complete({**copy.deepcopy(BASE), "targets": "t.csv"})["targets"]
    assert [row.get("noises") for row in rows] == [None, 2, None]
