"""The models that benchmarks/featurizing.py times are those of the experiments that ship."""

import sys
from types import ModuleType

import pytest
import yaml
from diffusers import UNet2DModel
from support import SCRIPTS

REPOSITORY = SCRIPTS.parent
PEERS = {  # libraries to compare with, which the tests do not need
    "dattri.func.projection": ["BasicProjector", "ProjectionType"],
    "trak.gradient_computers": ["FunctionalGradientComputer"],
    "trak.modelout_functions": ["AbstractModelOutput"],
    "trak.projectors": ["BasicProjector", "ProjectionType"],
    "trak.utils": ["vectorize"],
}


@pytest.fixture
def featurizing(monkeypatch):
    """The benchmark as a module, with empty classes for its peers."""
    for module, names in PEERS.items():
        parts = module.split(".")
        for k in range(len(parts)):
            monkeypatch.setitem(sys.modules, ".".join(parts[: k + 1]), ModuleType(parts[k]))
        for name in names:
            setattr(sys.modules[module], name, type(name, (), {}))
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    monkeypatch.delitem(sys.modules, "featurizing", raising=False)
    import featurizing

    yield featurizing
    sys.modules.pop("featurizing"), sys.modules.pop("measuring")


def test_the_cifar_10_model_is_the_experiments(featurizing):
    config = yaml.safe_load((REPOSITORY / "experiments/cifar10.yaml").read_text())
    assert featurizing.CIFAR == config["model"]["unet"]


def test_a_quarter_of_its_width_differs_in_width_alone(featurizing):
    whole, quarter = featurizing.CIFAR, featurizing.QUARTER
    assert quarter["block_out_channels"] == [channels // 4 for channels in whole["block_out_channels"]]
    assert {key for key in whole if whole[key] != quarter[key]} == {"block_out_channels", "norm_num_groups"}
    attention = [layer for layer in UNet2DModel(**quarter).modules() if hasattr(layer, "heads")]
    assert attention and all(layer.heads == 1 for layer in attention)  # as with attention_head_dim: null
