"""State dicts of training: several networks in one file, averages with their counters, and mappings in mappings."""

import pytest
import torch
from safetensors.torch import save_file

from waypoint.errors import WaypointError
from waypoint.store.networks.training_states import state_in

RAW = {"conv_in.weight": torch.zeros(1), "mid.bias": torch.zeros(2)}
MEAN = {"conv_in.weight": torch.ones(1), "mid.bias": torch.ones(2)}


def under(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


SWA = {**under("module.", MEAN), "n_averaged": torch.tensor(3)}
PYTORCH = {**under("online_model.", RAW), **under("ema_model.", MEAN), "initted": torch.tensor(True)}
PYTORCH["step"] = torch.tensor(1)
FILES = {
    "averaged": (SWA, None, under("module.", MEAN)),
    "averaged beside": ({"model": RAW, "ema": SWA}, "ema", under("module.", MEAN)),
    "averaged beside, raw": ({"model": RAW, "ema": SWA}, "raw", RAW),
    "ema_pytorch": (PYTORCH, "ema", MEAN),
    "ema_pytorch beside": ({"model": RAW, "ema": PYTORCH}, "ema", MEAN),
    "ema_pytorch beside, raw": ({"model": RAW, "ema": PYTORCH}, "raw", RAW),
    "ema_pytorch alone": ({"ema": PYTORCH, "epoch": 3}, "raw", RAW),
    "scaler": ({"model": RAW, "grad_scaler": {"scale": torch.ones(1)}}, None, RAW),
    "optimizer": ({"model": RAW, "optimizer": {"state": {0: {"exp_avg": torch.ones(1)}}}}, None, RAW),
    "deep": ({"checkpoint": {"ema": MEAN, "model": RAW}, "epoch": 1}, "ema", MEAN),
    "deep, raw": ({"checkpoint": {"ema": MEAN, "model": RAW}, "epoch": 1}, "raw", RAW),
    "deep, one": ({"model": {"unet": RAW}}, None, RAW),
    "a name with ema in it": ({"remaining": RAW, "unet_ema": MEAN}, "raw", RAW),
}


def same(found, expected):
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("name", FILES)
def test_the_right_network_is_taken_with_the_shapes_of_its_values(tmp_path, name):
    content, weights, expected = FILES[name]
    torch.save(content, tmp_path / "a.pt")
    assert same(state_in(tmp_path / "a.pt", weights)[0], expected)
    shapes, _ = state_in(tmp_path / "a.pt", weights, values=False)
    assert shapes == {name: tuple(tensor.shape) for name, tensor in expected.items()}


@pytest.mark.parametrize("weights, expected", [("raw", RAW), ("ema", MEAN)])
def test_safetensors_with_two_networks_are_read_as_other_files_are(tmp_path, weights, expected):
    file = tmp_path / "a.safetensors"
    save_file({**under("unet.", RAW), **under("unet_ema.", MEAN)}, file)
    assert same(state_in(file, weights)[0], expected)
    assert state_in(file, weights, values=False)[0] == {name: tuple(q.shape) for name, q in expected.items()}
    with pytest.raises(WaypointError, match="holds unet, unet_ema; say which is meant"):
        state_in(file)


def test_averages_without_names_are_refused_as_such(tmp_path):
    torch.save({"unet": RAW, "ema": {"decay": 0.9, "shadow_params": list(MEAN.values())}}, tmp_path / "a.pt")
    with pytest.raises(WaypointError, match="EMAModel's averages without their names"):
        state_in(tmp_path / "a.pt", "ema")
    assert same(state_in(tmp_path / "a.pt", "raw")[0], RAW)
