"""State dicts fill a network by name, or in order where only the names differ; nothing is ever unpickled."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from waypoint.errors import WaypointError
from waypoint.store.networks.state_dicts import load_in_order, read_state


def network(classes=4, seed=0):
    """A convolution, its batch norm, a hidden layer, and a head."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = nn.Sequential()
        made.conv, made.norm = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)
        made.hidden, made.head = nn.Linear(5, 5), nn.Linear(5, classes)
        made.norm.running_mean.normal_()
    return made


def renamed(state):
    """The same tensors in the same order under other names."""
    return {f"{name.split('.')[1]}.{k}.x": tensor for k, (name, tensor) in enumerate(state.items())}


def body(net):
    """Everything but the head and the counter."""
    return {k: q for k, q in net.state_dict().items() if not k.startswith("head.") and "num_batches" not in k}


def same(net, other):
    mine, theirs = body(net), body(other)
    return all(torch.equal(mine[name], theirs[name]) for name in theirs)


def loaded(state, heads=("head",)):
    net = network()
    load_in_order(net, heads, state, "image_encoders.e.weights: file")
    return net


def test_names_that_fit_are_loaded_by_name_in_any_order():
    given = network(seed=1)
    assert not same(network(), given)
    assert same(loaded(dict(reversed(given.state_dict().items()))), given)


@pytest.mark.parametrize("classes", [4, 7])
def test_a_head_that_will_be_replaced_may_have_any_size_or_be_absent(classes):
    given = network(classes, seed=1)
    assert same(loaded(given.state_dict()), given)
    assert same(loaded(renamed({k: q for k, q in given.state_dict().items() if "num_batches" not in k})), given)
    assert same(loaded(body(given)), given)


def test_counters_do_not_matter():
    given = network(seed=1)
    without = {name: tensor for name, tensor in given.state_dict().items() if "num_batches" not in name}
    assert same(loaded(without), given)


def test_other_names_in_the_same_order_are_loaded_in_order():
    given = network(seed=1)
    without = {name: tensor for name, tensor in given.state_dict().items() if "num_batches" not in name}
    assert same(loaded(renamed(without)), given)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda s: s.pop("hidden.bias"), ["it lacks hidden.bias"]),
        (lambda s: s.update(more=torch.zeros(2)), ["it has also more"]),
        (lambda s: s.update({"hidden.weight": torch.zeros(5, 6)}), ["hidden.weight", "(5, 6) against (5, 5)"]),
    ],
)
def test_what_does_not_fit_is_refused_and_named(change, words):
    state = network(seed=1).state_dict()
    change(state)
    with pytest.raises(WaypointError) as caught:
        loaded(state)
    for word in ["image_encoders.e.weights: file", "does not fit the network", *words]:
        assert word in str(caught.value)


def test_other_names_in_another_order_are_refused():
    state = {k: q for k, q in network(seed=1).state_dict().items() if "num_batches" not in k}
    swapped = renamed(dict(reversed(state.items())))
    with pytest.raises(WaypointError, match="does not fit the network: .* is no conv.weight"):
        loaded(swapped)


def test_without_heads_everything_must_fit():
    with pytest.raises(WaypointError, match="head.weight: \\(7, 5\\) against \\(4, 5\\)"):
        loaded(network(7).state_dict(), heads=())
    with pytest.raises(WaypointError, match="it lacks head.bias, head.weight"):
        loaded(body(network()), heads=())


# ---- files


def test_torch_and_safetensors_files_hold_the_same(tmp_path):
    state = network(seed=1).state_dict()
    torch.save(state, tmp_path / "a.pth")
    save_file(state, tmp_path / "a.safetensors")
    for name in ("a.pth", "a.safetensors"):
        found = read_state(tmp_path / name, "key")
        assert found.keys() == state.keys() and all(torch.equal(found[k], state[k]) for k in state)


class Trap:
    """Unpickling it would leave a trace."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return open, (str(self.place), "w")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("write", ["torch", "pickle"])
def test_a_pickle_is_never_executed(tmp_path, write):
    trap, path = {"w": Trap(tmp_path / "trace")}, tmp_path / "bad.pth"
    torch.save(trap, path) if write == "torch" else path.write_bytes(pickle.dumps(trap))
    with pytest.raises(WaypointError, match="image_encoders.e.weights: .*bad.pth cannot be read as a state dict"):
        read_state(path, "image_encoders.e.weights")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"state_dict": {"w": torch.zeros(1)}}, {"epoch": 3}])
def test_what_is_no_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WaypointError, match="key: .*a.pth holds no state dict"):
        read_state(tmp_path / "a.pth", "key")


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_damaged_file_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"no weights")
    with pytest.raises(WaypointError, match=f"key: .*{name} cannot be read"):
        read_state(tmp_path / name, "key")
