"""The section groups: mistakes are told before the first job, by key, file and line; who changes the identity."""

import copy

import numpy as np
import pytest
from PIL import Image
from support import UNET, store

from waypoint.errors import WaypointError
from waypoint.workflow.config.complete import complete
from waypoint.workflow.plan.listed_groups import require_groups
from waypoint.workflow.plan.plan import Plan

BASE = {
    "experiment": "test",
    "store": "store",
    "data": {"source": "digits", "subset": 60},
    "model": {"unet": UNET},
    "checkpoints": {"count": 1},
    "methods": ["trak", "clip"],
    "image_encoders": {name: {"kind": "clip", "path": f"somebody/{name}"} for name in ("clip", "other")},
    "targets": [{"id": "a", "seed": 1}],
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.txt").write_text("digits/80*\n3\n")
    return tmp_path


def plan(groups, **sections):
    return Plan(complete({**copy.deepcopy(BASE), **sections, "groups": groups}))


def folder(tmp_path, rows, columns):
    """Images and their table of captions; an image's name and cells a row."""
    (tmp_path / "images").mkdir()
    for name, *_ in rows:
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "images" / name)
    lines = [columns, *(",".join(row) for row in rows)]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    return {"source": "imagefolder", "path": "images", "captions": "table.csv", "size": 8}


WRONG = {
    "nothing": ({}, ["groups", "give groups.files or groups.by"]),
    "no file": ({"files": {"x": "none.txt"}}, ["groups.files.x", "cannot read none.txt"]),
    "another key": ({"of": "label"}, ["groups.of", "known keys"]),
    "by what": ({"by": "artist"}, ["groups.by", '"artist"', '"label"']),
    "a group column without a table": ({"by": "group"}, ["groups.by", "data.captions"]),
    "an unknown encoder": ({"by": "label", "neighbours": "dino"}, ["groups.neighbours", "'dino'", "image_encoders"]),
    "an encoder of no method": ({"by": "label", "neighbours": "other"}, ["groups.neighbours", "other", "methods"]),
}


@pytest.mark.parametrize("groups, words", WRONG.values(), ids=WRONG)
def test_a_mistake_names_the_key(groups, words):
    with pytest.raises(WaypointError) as error:
        plan(groups)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_groups_need_training_images():
    given = {"data": None, "checkpoints": {"paths": ["m0"]}, "methods": [], "image_encoders": {}}
    config = {**copy.deepcopy(BASE), **given, "groups": {"by": "label"}}
    for key in ("data", "methods", "image_encoders", "model"):
        del config[key]
    with pytest.raises(WaypointError, match="groups needs training images"):
        complete(config)


def test_lines_are_looked_up_in_the_source_before_the_first_job(here):
    require_groups(plan({"files": {"few": "few.txt"}}))
    (here / "few.txt").write_text("3\n\ndigit-xx\n")
    with pytest.raises(WaypointError, match="config: groups.files.few: few.txt line 3: .*'digit-xx'"):
        require_groups(plan({"files": {"few": "few.txt"}}))


def test_the_stored_images_are_what_lines_mean(here):
    made = plan({"files": {"few": "few.txt"}, "by": "label"})
    image = (["train", "channel", "y", "x"], np.zeros((5, 1, 8, 8), np.float32))
    asked = {
        "spec": made.spec("prepare_data"),
        "identity": made.identity("prepare_data"),
        "stage": "prepare_data",
        "reads": {},
    }
    names = (["train"], np.array(["digits/800", "digits/801", "b", "c", "d"]))
    store("store/test/data/train.zarr", {**asked, "sha256": "x", "seconds": 1.0}, image=image, file=names)
    with pytest.raises(WaypointError, match="groups.by: label, but the training images have no labels"):
        require_groups(made)
    require_groups(plan({"files": {"few": "few.txt"}}))


def test_images_that_only_the_first_job_knows_are_left_to_it():
    require_groups(plan({"files": {"few": "few.txt"}}, data={"source": "digits", "near_duplicates": 0.01}))


def test_groups_by_label_and_by_the_column_group(here):
    rows = [("a.png", "cat", "ann"), ("b.png", "dog", ""), ("c.png", "cat", "bob"), ("d.png", "dog", "ann")]
    data = folder(here, rows, "file,label,group")
    require_groups(plan({"by": "label"}, data=data))
    require_groups(plan({"by": "group"}, data=data))
    (here / "table.csv").write_text("file,label\na.png,cat\nb.png,dog\n")
    with pytest.raises(WaypointError, match="groups.by: group, but the training images have no column group"):
        require_groups(plan({"by": "group"}, data=data))
    with pytest.raises(WaypointError, match="no labels"):
        require_groups(plan({"by": "label"}, data={**data, "captions": None}))


def test_an_image_belongs_to_one_group_of_its_table(here):
    data = folder(here, [("a.png", "one", "ann"), ("b.png", "two", "ann")], "file,caption,group")
    with open(here / "table.csv", "a") as table:
        table.write("\na.png,three,bob")
    from waypoint.store.data.imagefolder import imagefolder

    with pytest.raises(WaypointError, match="line 4: a.png has group 'bob', but 'ann' in line 2"):
        imagefolder(data)


def test_members_are_part_of_the_identity_and_their_place_is_not(here):
    before = plan({"files": {"few": "few.txt"}})
    (here / "moved.txt").write_text((here / "few.txt").read_text())
    key = {"target": "a"}
    assert plan({"files": {"few": "moved.txt"}}).identity("group_influences", **key) == before.identity(
        "group_influences", **key
    )
    (here / "more.txt").write_text("3\n4\n")
    after = plan({"files": {"few": "more.txt"}})
    assert after.identity("group_influences", **key) != before.identity("group_influences", **key)
    assert after.identity("score_trak", method="trak", **key) == before.identity("score_trak", method="trak", **key)
