"""Folders and files that hold something else than a network are called what they are."""

import json

import pytest
import torch
from safetensors.torch import save_file

from waypoint.errors import WaypointError
from waypoint.store.networks.layouts import examine, unnamed_vae

STATE = {"conv_in.weight": torch.zeros(1)}


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_of_a_folder_of_accelerate_the_network_alone_is_named(tmp_path, name):
    for other in ("optimizer.bin", "scheduler.bin", "random_states_0.pkl", "scaler.pt"):
        torch.save({"state": {}}, tmp_path / other)
    (save_file if name.endswith("safetensors") else torch.save)(STATE, tmp_path / name)
    with pytest.raises(WaypointError, match=rf"holds {name} without a config.json.*paths: \[{tmp_path}/{name}\]"):
        examine(tmp_path)


def test_several_state_dicts_are_named_by_a_pattern(tmp_path):
    for k in range(2):
        torch.save(STATE, tmp_path / f"steps_{k}.pt")
    with pytest.raises(WaypointError, match=rf"paths: \[{tmp_path}/\*.pt\]"):
        examine(tmp_path)


@pytest.mark.parametrize("tensors, words", [
    ({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1)}, "CompVis' code .*; convert them with from_si"),
    ({"<cat>": torch.ones(1, 16)}, "holds <cat> alone, as textual inversion .*load_textual_inversion"),
    ({"clip_l": torch.ones(2, 768), "clip_g": torch.ones(2, 1280)}, "as textual inversion stores embeddings"),
], ids=["single file", "embedding", "sdxl's embeddings"])  # fmt: skip
def test_other_files_are_called_what_they_are_alone_and_in_their_folder(tmp_path, tensors, words):
    file = tmp_path / "a.safetensors"
    save_file(tensors, file)
    for place in (file, tmp_path):
        with pytest.raises(WaypointError, match=f"a.safetensors.*{words}"):
            examine(place)


def test_a_state_dict_is_still_taken(tmp_path):
    save_file(STATE, tmp_path / "a.safetensors")
    assert examine(tmp_path / "a.safetensors").file == tmp_path / "a.safetensors"


def test_a_vqmodel_is_refused_at_once(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet/config.json").write_text("{}")
    index = {"unet": ["diffusers", "UNet2DModel"], "vqvae": ["diffusers", "VQModel"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(WaypointError, match=r"those of VQModel \(its folder vqvae\), which is not supported; Auto"):
        unnamed_vae(tmp_path, examine(tmp_path))
