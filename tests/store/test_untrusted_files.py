"""Files that a user points at may come from anybody: none of them is ever executed.

CIFAR's archive and state dicts have tests of their own (test_sources.py, test_state_dicts.py, test_text_encoder.py).
"""

import json
import os
import pickle
import types

import numpy as np
import pytest
import torch
import zarr
from support import store, tiny_bert, tiny_clip, tiny_denoiser

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.data.trajectories import GivenTrajectory
from waypoint.store.networks import checkpoints
from waypoint.store.networks.image_encoder import ImageEncoder
from waypoint.store.networks.text_encoder import TextEncoder
from waypoint.store.zarr.reader import open_store
from waypoint.workflow.jobs.resuming import run_epochs

pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol")


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def trap(tmp_path):
    """An attack, which has been seen to work; it must leave no trace."""
    made = Trap(tmp_path / "sprung")
    pickle.loads(pickle.dumps(made))
    os.rmdir(made.path)
    yield made
    assert not os.path.exists(made.path)


def test_a_checkpoints_pickled_weights(tmp_path, tiny_model, trap):
    denoiser = tiny_denoiser(tiny_model)
    checkpoints.save(denoiser.unet, denoiser.scheduler, tmp_path / "model")
    (weights,) = tmp_path.glob("model/unet/*.safetensors")
    weights.unlink()
    torch.save({"conv_in.weight": trap}, weights.with_suffix(".bin"))
    with pytest.raises(WaypointError, match="checkpoint .* cannot be read as tensors alone"):
        checkpoints.load(tmp_path / "model")


def test_a_training_state(tmp_path, trap):
    torch.save({"identity": "this", "losses": trap}, tmp_path / "state.pt")
    with pytest.warns(WaypointWarning, match="state.pt is damaged .*; its training starts anew"):
        run_epochs(None, types.SimpleNamespace(finished=True), tmp_path, "this", "full/0")


def test_a_trajectory_with_objects(tmp_path, trap):
    np.savez(tmp_path / "own.npz", x_t=np.zeros((1, 1, 8, 8)), step=np.array([trap], object))
    with pytest.raises(WaypointError, match="own.npz is not a readable npz file"):
        GivenTrajectory(tmp_path / "own.npz", "config: targets[0]")


@pytest.mark.parametrize("place", ["", "x"])
def test_a_store_of_zarrs_older_format_with_pickled_objects(tmp_path, trap, place):
    """As a store of its own, or as an array within one of ours."""
    root = tmp_path / "a.zarr"
    if place:
        store(root, y=(["row"], np.zeros(2)))
    array = root / place
    array.mkdir(parents=True, exist_ok=True)
    entry = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "compressor": None, "fill_value": None}
    (array / ".zarray").write_text(json.dumps(entry | {"order": "C", "filters": [{"id": "pickle"}]}))
    (array / "0").write_bytes(pickle.dumps(np.array([trap], object)))
    if not place:
        with pytest.raises(WaypointError, match="no such store"):
            open_store(root)
        return
    assert dict(open_store(root).arrays()).keys() == {"y"}


def test_a_codec_that_unpickles_is_unknown_to_our_format():
    with pytest.raises(Exception, match="numcodecs.pickle"):
        zarr.registry.get_codec_class("numcodecs.pickle")


def test_code_in_a_text_encoders_folder(tmp_path, trap):
    folder = tmp_path / "text"
    tiny_bert(folder)
    (folder / "modeling_own.py").write_text(f"import os\nos.mkdir({trap.path!r})\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "modeling_own.Own", "AutoModel": "modeling_own.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WaypointError, match="text_encoder: .* cannot be loaded"):
        TextEncoder(folder)


def test_an_image_encoders_pickled_weights(tmp_path, trap):
    place = tiny_clip(tmp_path / "clip")
    (tmp_path / "clip/model.safetensors").unlink()
    torch.save({"logit_scale": trap}, tmp_path / "clip/pytorch_model.bin")
    with pytest.raises(WaypointError, match="image_encoders.clip.path: .* cannot be loaded as a CLIP model"):
        ImageEncoder("clip", {"kind": "clip", "path": place}, place)
