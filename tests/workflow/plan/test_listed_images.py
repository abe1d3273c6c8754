"""tables.images is looked up before the first job, where the images' names are known by then."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from support import run_script, tiny_config

from waypoint.errors import WaypointError
from waypoint.workflow.plan.listed_images import known_files, require_listed_images
from waypoint.workflow.plan.plan import Plan


@pytest.fixture
def plan(tmp_path, tiny_model, monkeypatch):
    """A plan of seven pictures in two folders, with settings of ``data`` and a list of images."""
    monkeypatch.chdir(tmp_path)
    for k in range(7):
        file = tmp_path / f"photos/{'ape' if k < 3 else 'cat'}/{k}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 9 * k, np.uint8)).save(file)

    def planned(*images, **data):
        section = {"source": "imagefolder", "path": "photos", **data}
        return Plan(tiny_config(tiny_model, data=section, tables={"images": list(images)}, store="store"))

    return planned


def stored(plan):
    places, out = {"path": "photos", "captions": None}, f"{plan.root}/data/train.zarr"
    run_script("prepare_data", spec=plan.asked("prepare_data"), places=json.dumps(places), out=out)


def refused(plan, said):
    with pytest.raises(WaypointError, match=re.escape(f"config: tables.images{said}")):
        require_listed_images(plan)


def test_names_are_those_of_the_source_before_there_is_a_store(plan):
    require_listed_images(plan("ape/0.png", "6.png", 2, "cat/*"))
    refused(plan(0, "cat/9.png"), "[1]: no training image is called 'cat/9.png'; the nearest names are 'cat/")
    refused(plan(7), "[0]: there is no training image 7; their indices are 0 to 6")
    some = plan("ape/0.png", subset=[1, 4])
    assert known_files(some) == ["ape/1.png", "cat/4.png"]
    refused(some, "[0]: no training image is called 'ape/0.png'")


def test_names_are_those_of_the_store_once_it_is_there(plan, tmp_path):
    stored(plan())
    (tmp_path / "photos/ape/0.png").unlink()
    require_listed_images(plan("ape/0.png"))
    (tmp_path / "photos").rename(tmp_path / "gone")  # the store is enough
    require_listed_images(plan("ape/0.png"))
    refused(plan("ape/7.png"), "[0]: no training image is called 'ape/7.png'")


def test_a_store_that_will_be_made_again_does_not_count(plan):
    stored(plan(subset=[1, 4]))
    require_listed_images(plan("ape/0.png"))


def test_what_cannot_be_known_is_left_to_the_job(plan):
    for images in (plan("no.png", near_duplicates=0.01), plan("no.png", source="cifar10", path=None)):
        assert known_files(images) is None
        require_listed_images(images)


def test_nothing_is_opened_where_nothing_is_listed(plan, monkeypatch):
    monkeypatch.setattr("waypoint.workflow.plan.listed_images.known_files", None)
    require_listed_images(plan())


@pytest.mark.parametrize("images", ["ape/0.png", [-1], [""], [True], [1.5], [2, 2]])
def test_a_list_of_something_else_is_refused_by_its_key(plan, tiny_model, images):
    with pytest.raises(WaypointError, match=r"config: tables\.images"):
        tiny_config(tiny_model, tables={"images": images})
