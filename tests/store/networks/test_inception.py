"""Inception from a file: the right file or none, its features as pytorch-fid takes them, and its name in tables."""

import hashlib
import socket

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_fid import inception as theirs
from pytorch_fid.fid_score import get_activations
from support import images, random_inception

from waypoint.errors import WaypointError
from waypoint.patches.pytorch_fid import inception_weights
from waypoint.store.networks.inception import PUBLISHED, Inception, require_weights, table_name


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of random weights of pytorch-fid's network, and its SHA-256."""
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    return path, random_inception(path)


@pytest.fixture
def offline(monkeypatch):
    """Any connection fails the test."""

    def refuse(*_):
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def network(weights):
    return Inception(weights[0], weights[1][:8], 64)


def test_features_are_pytorch_fids(network, tmp_path):
    """Against its own reading of the same images as PNG files; grey images are shown as grey RGB."""
    z = images(3)
    levels = ((z + 1) / 2 * 255).round().to(torch.uint8)
    files = []
    for k, level in enumerate(levels):
        files.append(tmp_path / f"{k}.png")
        Image.fromarray(level[0].numpy()).save(files[-1])
    expected = get_activations(files, network.network, batch_size=3, dims=64, num_workers=0)
    found = network.features(levels.float() / 127.5 - 1).numpy()
    assert found.shape == (3, 64) and np.allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_features_do_not_depend_on_the_batch(network, monkeypatch):
    z = images(4)
    whole = network.features(z)
    monkeypatch.setattr("waypoint.store.networks.inception.BATCH", 3)
    assert torch.allclose(network.features(z), whole, atol=1e-6 * float(whole.abs().max()))


def test_rgb_is_seen_in_colour(network):
    z = images(1).expand(1, 3, 8, 8)
    red = z * torch.tensor([1.0, -1.0, -1.0]).reshape(1, 3, 1, 1)
    assert torch.equal(network.features(z), network.features(images(1)))
    assert not torch.allclose(network.features(red), network.features(z))
    with pytest.raises(WaypointError, match="2 channels"):
        network.features(torch.zeros(1, 2, 8, 8))


def test_nothing_is_downloaded_and_nothing_stays_patched(weights, offline):
    before = theirs.load_state_dict_from_url
    Inception(weights[0], weights[1], 192)
    assert theirs.load_state_dict_from_url is before


def test_another_pytorch_fid_that_would_not_take_the_weights_is_refused(weights, monkeypatch, offline):
    with pytest.raises(WaypointError, match="needs pytorch-fid 0.3.0"):
        with inception_weights({}):
            pass
    monkeypatch.delattr(theirs, "load_state_dict_from_url")
    with pytest.raises(WaypointError, match="has no load_state_dict_from_url"):
        Inception(weights[0], weights[1], 64)


def test_other_weights_are_never_called_inception(network, weights):
    assert network.name == f"inception-{weights[1][:8]}-64"
    assert table_name(weights[1], 2048) == f"inception-{weights[1][:8]}"
    assert table_name(PUBLISHED + "0" * 56, 2048) == "inception" and table_name(PUBLISHED, 192) == "inception-192"


def test_a_missing_file_is_named_with_the_alternative(tmp_path):
    with pytest.raises(WaypointError) as caught:
        require_weights(tmp_path / "away.pth", PUBLISHED)
    for part in ("evaluation.fid.weights", "away.pth", "No such file", "evaluation.fid.features: classifier"):
        assert part in str(caught.value)
    assert "http" not in str(caught.value)


def test_another_file_is_refused_by_its_hash(weights):
    with pytest.raises(WaypointError, match=f"begins with {weights[1][:8]}, evaluation.fid.sha256 says 6726825d"):
        Inception(weights[0], PUBLISHED, 64)


@pytest.mark.parametrize("content", [b"no weights", None], ids=["no torch file", "another network"])
def test_a_file_that_does_not_hold_inception_is_refused(tmp_path, content):
    path = tmp_path / "w.pth"
    if content is None:
        torch.save({"weight": torch.zeros(3)}, path)
    else:
        path.write_bytes(content)
    before = theirs.load_state_dict_from_url
    with pytest.raises(WaypointError, match="does not hold pytorch-fid's Inception weights"):
        Inception(path, hashlib.sha256(path.read_bytes()).hexdigest(), 64)
    assert theirs.load_state_dict_from_url is before
