"""What is a label and what a caption is the same in every source, and known at planning where it can be."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from waypoint.errors import WaypointError
from waypoint.store.data.own_scores import OwnScores
from waypoint.store.data.sources import SOURCES
from waypoint.store.data.trajectories import GivenTrajectory
from waypoint.store.zarr.typed_zarr import open_group
from waypoint.workflow.config.data import check_data, readable


def png(i=0):
    out = io.BytesIO()
    Image.new("L", (4, 4), i).save(out, "PNG")
    return out.getvalue()


def section(source, path, **more):
    place = [str(p) for p in path] if isinstance(path, list) else str(path)
    keys = ("captions", "subset", "size", "channels", "near_duplicates", "columns", "split", "configuration")
    return dict.fromkeys(keys) | {"source": source, "path": place, "fit": "crop", **more}


def refused(call, *words):
    with pytest.raises(WaypointError) as caught:
        call()
    for word in words:
        assert word in str(caught.value), str(caught.value)


def tar(path, *samples):
    with tarfile.open(path, "w") as archive:
        for i, beside in enumerate(samples):
            for suffix, raw in {"png": png(i), **beside}.items():
                raw = (
                    raw
                    if isinstance(raw, bytes)
                    else raw.encode()
                    if isinstance(raw, str)
                    else json.dumps(raw).encode()
                )
                entry = tarfile.TarInfo(f"{i}.{suffix}")
                entry.size = len(raw)
                archive.addfile(entry, io.BytesIO(raw))
    return path


def opened(source, path, **more):
    check_data(section(source, path, **more), None)
    return SOURCES[source](section(source, path, **more))


def photos(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for i in (1, 2):
        (folder / f"{i}.png").write_bytes(png(i))
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


# ---- labels


@pytest.mark.parametrize("label", ["", " ", "nan", "NaN", "<NA>"])
def test_a_label_that_says_nothing_is_none(tmp_path, label):
    np.savez(tmp_path / "a.npz", image=np.zeros((2, 4, 4), np.uint8), label=np.array(["cat", label]))
    refused(
        lambda: check_data(section("npz", tmp_path / "a.npz"), None), "a.npz", "1 of 2 images have no label", ": 1;"
    )
    refused(lambda: opened("webdataset", tar(tmp_path / "a.tar", {"cls": "cat"}, {"cls": label})), "no label in .cls")


def test_a_class_may_be_called_none(tmp_path):
    found = opened("webdataset", tar(tmp_path / "a.tar", {"cls": "none"}, {"cls": "cat"}))
    assert found.class_names == ["cat", "none"] and found.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"label": [0, 1, 0]}, "a.tar/0.json: label has a label that is a list"),
        ({"label": {"id": 1}}, "a.tar/0.json: label has a label that is a mapping"),
        ({"caption": {"en": "x"}}, "a.tar/0.json: caption has a caption that is a mapping"),
        ({"caption": "\ud83d x"}, "a.tar/0.json contains \\ud83d, half of a character"),
    ],
)
def test_values_of_json_in_tar_files_are_refused_at_planning(tmp_path, value, said):
    path = tar(tmp_path / "a.tar", {"json": value})
    refused(lambda: check_data(section("webdataset", path), None), said)


def test_numbers_of_json_in_tar_files(tmp_path):
    samples = [{"json": {"label": label}} for label in (1.0, 2, "0")]
    assert opened("webdataset", tar(tmp_path / "a.tar", *samples)).labels.tolist() == [1, 2, 0]


# ---- captions


def test_captions_have_single_spaces_in_every_source(tmp_path):
    np.savez(tmp_path / "a.npz", image=np.zeros((1, 4, 4), np.uint8), caption=np.array([" a  dog\n"]))
    (tmp_path / "t.csv").write_text('file,caption\n1.png," a  dog\n"\n')
    folder = photos(tmp_path / "photos")
    assert opened("npz", tmp_path / "a.npz").captions == ["a dog"]
    assert opened("imagefolder", folder, captions=str(tmp_path / "t.csv")).captions == ["a dog"]
    assert opened("webdataset", tar(tmp_path / "a.tar", {"txt": " a  dog\n"})).captions == ["a dog"]


def test_a_side_file_that_says_none_is_no_caption(tmp_path):
    folder = photos(tmp_path, **{"1_txt": "None", "2_txt": "a dog"})
    refused(lambda: check_data(section("imagefolder", folder), None), "1 of 2 captions", "are empty: 1.txt")


def test_half_a_character_in_coco_is_refused_at_planning(tmp_path):
    annotations = {"images": [{"id": 7, "file_name": "1.png"}], "annotations": [{"image_id": 7, "caption": "\ud83d x"}]}
    folder = photos(tmp_path / "photos")
    (tmp_path / "a.json").write_text(json.dumps(annotations))
    found = section("coco", folder, captions=str(tmp_path / "a.json"), size=4)
    refused(lambda: check_data(found, None), "a.json: image 7 contains \\ud83d")


# ---- known at planning


def test_every_tar_file_is_opened_at_planning_and_keys_are_looked_up(tmp_path):
    first = tar(tmp_path / "0.tar", {"json": {"title": "a"}})
    (tmp_path / "1.tar").write_text("broken")
    refused(lambda: check_data(section("webdataset", tmp_path), None), "1.tar is not a readable tar file")
    wrong = section("webdataset", first, columns={"caption": "json.titel"})
    refused(lambda: check_data(wrong, None), "data.columns.caption", "0.tar", "json.titel")
    assert opened("webdataset", first, columns={"caption": "json.title"}).captions == ["a"]


def test_a_subset_of_more_images_than_there_are_is_refused_at_planning(tmp_path):
    folder = photos(tmp_path)
    refused(lambda: check_data(section("imagefolder", folder, subset=3), None), "config: data.subset: 3", "has 2")
    refused(lambda: check_data(section("imagefolder", folder, subset=[0, 2]), None), "data.subset: index 2")
    check_data(section("imagefolder", folder, subset=2), None)


def test_a_name_with_a_zero_is_a_sentence():
    refused(lambda: readable("photos\0", "data.path"), "config: data.path", "is no name of a file")


@pytest.mark.parametrize("error", [-1.0, np.nan, 1e300])
def test_standard_errors_of_own_scores_are_numbers_from_0_on(tmp_path, error):
    group = open_group(tmp_path / "a.zarr", mode="w")
    for name, values, dims in (
        ("score", np.ones((1, 2)), ("step", "train")),
        ("score_se", np.array([[0.5, error]]), ("step", "train")),
        ("step", np.array([100]), ("step",)),
    ):
        group.create_array(name, shape=values.shape, dtype=values.dtype, dimension_names=dims)[...] = values
    refused(lambda: OwnScores(tmp_path / "a.zarr", "methods.mine").rows("score_se", [100]), "score_se in", "a.zarr")


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (3, 8, 8), (3, 1, 3, 8, 8)])
def test_a_trajectory_has_as_many_images_as_steps(tmp_path, shape):
    np.savez(tmp_path / "t.npz", x_t=np.random.default_rng(0).normal(size=shape), step=np.array([3, 2, 1]))
    refused(
        lambda: GivenTrajectory(tmp_path / "t.npz", "targets[0]"), "targets[0]: trajectory: x_t", str(shape), "3 steps"
    )
