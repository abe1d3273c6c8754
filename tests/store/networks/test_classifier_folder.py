"""Classifier folders: equal after a round trip, whole or absent, and damage is named."""

import json

import numpy as np
import pytest
import torch

from waypoint.errors import WaypointError
from waypoint.science.evaluation.classifier import build
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.networks.classifier import CONFIG, WEIGHTS, load_classifier, read_labelled, save_classifier
from waypoint.store.zarr.reader import open_store
from waypoint.store.zarr.writer import create_store


@pytest.fixture
def network():
    return build(3, 5, 2, 0, "robust")


@pytest.fixture
def folder(tmp_path, network):
    save_classifier(network, tmp_path / "robust", lambda: {"spec": {"seed": 1}, "accuracy": 0.5})
    return tmp_path / "robust"


def data(path, **arrays):
    with create_store(path, lambda: {"spec": {}}) as writer:
        for name, (dims, values) in arrays.items():
            writer.write(name, dims, values)
    return open_store(path)


IMAGE = (["train", "channel", "y", "x"], np.zeros((3, 1, 8, 8), np.float32))


def test_round_trip_is_bit_equal(network, folder):
    found, images = load_classifier(folder), torch.randn(4, 3, 8, 8)
    assert found.config == network.config
    for name, tensor in network.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor)
    with torch.no_grad():
        assert torch.equal(found(images), network(images))
    assert found.features(images).shape == (4, 8)


def test_it_is_loaded_to_be_used_not_trained(folder):
    found = load_classifier(folder)
    assert not found.training and not any(q.requires_grad for q in found.parameters())


def test_the_marker_says_what_made_it(folder):
    made = read_attributes(folder)
    assert made.pop("files").keys() == {WEIGHTS, CONFIG} and len(made.pop("weights")) == 64
    assert made == {"spec": {"seed": 1}, "accuracy": 0.5}


def test_a_failed_save_leaves_nothing(tmp_path, network):
    with pytest.raises(RuntimeError):
        save_classifier(network, tmp_path / "x", lambda: (_ for _ in ()).throw(RuntimeError))
    assert not list(tmp_path.iterdir())


def shortened(folder):
    file = folder / WEIGHTS
    file.write_bytes(file.read_bytes()[:-8])


def widened(folder):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, "width": 3}))


DAMAGE = {
    "weights are cut short": shortened,
    "config of another width": widened,
    "no weights": lambda folder: (folder / WEIGHTS).unlink(),
    "no config": lambda folder: (folder / CONFIG).unlink(),
    "config is no JSON": lambda folder: (folder / CONFIG).write_text("{"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_named(folder, damage):
    damage(folder)
    with pytest.raises(WaypointError, match="robust/.* is (damaged|missing).*; delete .*robust and rerun"):
        load_classifier(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(WaypointError, match="nowhere: cannot be loaded"):
        load_classifier(tmp_path / "nowhere")


def test_labelled_images(tmp_path):
    store = data(tmp_path / "train.zarr", image=IMAGE, label=(["train"], np.array([2, 0, 1])))
    images, labels = read_labelled(store, "train.zarr")
    assert images.shape == (3, 1, 8, 8) and labels.tolist() == [2, 0, 1] and labels.dtype == torch.int64


def test_data_without_labels_names_both_keys(tmp_path):
    with pytest.raises(WaypointError) as error:
        read_labelled(data(tmp_path / "train.zarr", image=IMAGE), "train.zarr")
    for part in ("train.zarr", "evaluation.likelihood", "evaluation.fid.features"):
        assert part in str(error.value)


def test_negative_labels_are_refused(tmp_path):
    store = data(tmp_path / "train.zarr", image=IMAGE, label=(["train"], np.array([-1, 0, 1])))
    with pytest.raises(WaypointError, match="labels down to -1"):
        read_labelled(store, "train.zarr")
