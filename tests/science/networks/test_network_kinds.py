"""Kinds of networks: one file each, and everything that differs between them follows from it."""

import diffusers
import pytest
import torch
from support import UNET, tiny_denoiser, unet_with_text

from waypoint.errors import WaypointError
from waypoint.science.networks.known import NETWORKS, network_of, network_of_new
from waypoint.science.networks.unet import condition_keyword, kind_of, output
from waypoint.store.networks.checkpoints import class_of


def test_every_kind_is_a_class_of_diffusers_with_its_defaults():
    assert set(NETWORKS) == {"UNet2DModel", "UNet2DConditionModel"}
    for name, network in NETWORKS.items():
        kind = class_of(network)
        assert kind is getattr(diffusers, name)
        with torch.device("meta"):
            assert kind().config["in_channels"] == network.channels


@pytest.mark.parametrize("config, name", [({}, "UNet2DModel"), ({"cross_attention_dim": 8}, "UNet2DConditionModel")])
def test_a_new_network_is_of_exactly_one_kind(config, name):
    assert [network.name for network in NETWORKS.values() if network.is_new(config)] == [name]
    assert network_of_new(config).name == name


def test_a_stored_network_is_of_the_class_that_it_names():
    assert network_of({}).name == "UNet2DModel"  # what diffusers wrote before it named classes
    with pytest.raises(WaypointError, match="network DiTTransformer2DModel is not supported; UNet2D"):
        network_of({"_class_name": "DiTTransformer2DModel"})


def test_networks_are_called_as_diffusers_calls_them():
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([3, 700])
    plain, classes = (
        tiny_denoiser({"unet": {**UNET, **more}, "scheduler": {}}).unet for more in ({}, {"num_class_embeds": 4})
    )
    text, labels, captions = unet_with_text(), torch.tensor([0, 3]), torch.randn(2, 5, 12)
    with torch.no_grad():
        assert torch.equal(output(plain, x, t, labels), plain(x, t).sample)
        assert torch.equal(output(classes, x, t, labels), classes(x, t, class_labels=labels).sample)
        assert torch.equal(output(text, x, t, captions), text(x, t, encoder_hidden_states=captions).sample)
    keywords = [condition_keyword(unet) for unet in (plain, classes, text)]
    assert keywords == [None, "class_labels", "encoder_hidden_states"]
    assert kind_of(text).pipeline(text.config) == "StableDiffusionPipeline"


def test_kinds_share_no_key_and_no_block():
    first, second = NETWORKS.values()
    assert not first.keys & second.keys and not first.blocks & second.blocks
