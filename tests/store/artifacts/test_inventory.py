"""All artifacts of an experiment are found, and each kind of damage to them."""

import json
import os

import numpy as np
import pytest

from waypoint.store.artifacts.atomic import atomic_directory, atomic_file
from waypoint.store.artifacts.checksums import write_marker
from waypoint.store.artifacts.inventory import artifacts, damage, size
from waypoint.store.artifacts.provenance import marker_path
from waypoint.store.zarr.writer import create_store

STORES = ["data/train.zarr", "features/plain/full/0.zarr", "targets/a/gradients/plain.zarr", "evaluation/subsets.zarr"]
FOLDERS = ["encoders/vae", "checkpoints/full/0", "checkpoints/without/pixel_n0.1", "evaluation/classifiers/robust"]
FILES = ["checkpoints/subset/models.json", "tables/lds.csv", "figures/lds.png", "figures/a/trak.png"]


def zarr(path):
    with create_store(path, lambda: {"spec": {}}) as writer:
        writer.create("phi", ["train", "feature"], (5, 4), rows=2)[:] = np.arange(20).reshape(5, 4)
        writer.write("train", ["train"], np.arange(5))


def folder(path):
    with atomic_directory(path) as tmp:
        (tmp / "unet").mkdir()
        (tmp / "unet/weights").write_text("weights")
        (tmp / "loss.csv").write_text("epoch,loss\n")
        write_marker(tmp, {"spec": {}})


def file(path):
    with atomic_file(path, lambda: {"spec": {}}) as tmp:
        tmp.write_text("some text")


@pytest.fixture
def root(tmp_path):
    """An experiment with an artifact of every kind."""
    for make, names in ((zarr, STORES), (folder, FOLDERS), (file, FILES)):
        for name in names:
            make(tmp_path / name)
    return tmp_path


def test_every_artifact_is_found_once(root):
    assert [str(path.relative_to(root)) for path in artifacts(root)] == sorted(STORES + FOLDERS + FILES)


def test_what_is_no_finished_artifact_is_left_out(root):
    before = artifacts(root)
    zarr(root / "replaced/1/data/train.zarr")
    zarr(root / "resume/scores/trak/a.zarr")
    zarr(root / "shards/plain/full/0/0-2.zarr")
    zarr(root / "data/train.zarr.tmp-host-1-0a1b2c3d")
    folder(root / "resume/full-0/model")
    folder(root / "checkpoints/full/1.tmp-host-1-0a1b2c3d")
    (root / "logs").mkdir()
    (root / "logs/train.log").touch()
    (root / "checkpoints/full/.snakemake_timestamp").touch()
    assert artifacts(root) == before


def test_an_experiment_that_is_not_there_has_no_artifacts(tmp_path):
    assert artifacts(tmp_path / "nothing") == []


def test_nothing_is_wrong_with_a_healthy_experiment(root):
    assert [damage(path) for path in artifacts(root)] == [None] * len(STORES + FOLDERS + FILES)


def test_what_people_may_do_is_no_damage(root):
    path = root / FOLDERS[1]
    (path / "loss.csv").write_text("mine")
    (path / "notes.txt").write_text("mine")
    os.utime(path / "unet/weights", (0, 0))
    assert damage(path) is None


def flipped(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path):
    path.write_text("{}")


def removed(path):
    path.unlink()


@pytest.mark.parametrize(
    "name, part, how, expected",
    [
        (STORES[1], "phi/c/1/0", flipped, "phi"),
        (STORES[1], "phi/c/1/0", cut, "phi"),
        (STORES[1], "phi/c/1/0", removed, "a chunk of phi is missing"),
        (STORES[1], "train/zarr.json", removed, "train/zarr.json is missing"),
        (STORES[1], "zarr.json", removed, "its marker zarr.json is missing"),
        (STORES[1], "zarr.json", cut, "zarr.json is damaged"),
        (STORES[1], "zarr.json", emptied, "was not made by this workflow"),
        (FOLDERS[2], "unet/weights", flipped, "unet/weights is damaged (its checksum does not match)"),
        (FOLDERS[2], "unet/weights", cut, "unet/weights is damaged (its checksum does not match)"),
        (FOLDERS[2], "unet/weights", removed, "unet/weights is missing"),
        (FOLDERS[2], "waypoint.json", removed, "its marker waypoint.json is missing"),
        (FOLDERS[2], "waypoint.json", cut, "waypoint.json is damaged"),
        (FILES[1], "", flipped, "lds.csv is damaged (its checksum does not match)"),
        (FILES[1], "", cut, "lds.csv is damaged (its checksum does not match)"),
        (FILES[1], "../.lds.csv.json", removed, "its marker .lds.csv.json is missing"),
        (FILES[1], "../.lds.csv.json", cut, ".lds.csv.json is damaged"),
    ],
)
def test_each_kind_of_damage_is_found_and_named(root, name, part, how, expected):
    path = root / name
    how(path.parent / part[3:] if part.startswith("../") else path / part if part else path)
    found = damage(path)
    assert str(path) in found and expected in found
    assert [other for other in artifacts(root) if damage(other)] == [path]


def test_a_store_of_an_earlier_form_is_named_as_such(root):
    marker = marker_path(root / FOLDERS[0])
    marker.write_text(json.dumps({"spec": {"versions": {"encoder": 1}}}))
    assert "was made by an earlier version of Waypoint" in damage(root / FOLDERS[0])


def test_size_is_that_of_all_files(root):
    assert size(root / FILES[1]) == len("some text")
    path = root / FOLDERS[0]
    assert size(path) == sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) > len("weights")
