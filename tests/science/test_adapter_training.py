"""Training an adapter: it learns, its base stays bit by bit, and an interrupted training goes on exactly."""

import copy

import pytest
import torch
from diffusers import DDPMScheduler
from support import images, unet_with_text

from waypoint.science.networks import lora
from waypoint.science.processes.ddpm import Denoiser
from waypoint.science.training import DenoiserTrainer

RECIPE = {"epochs": 4, "batch_size": 5, "learning_rate": 1e-2, "weight_decay": 0.1, "ema": 0.9}
RECIPE |= {"gradient_clip": 1.0, "flip": False}


def trainer(**changes):
    unet = unet_with_text()
    names = lora.layers_named(unet, ["to_q", "to_k", "to_v", "to_out.0"])
    torch.manual_seed(3)
    lora.add_adapter(unet, dict.fromkeys(names, 2), dict.fromkeys(names, 4.0))
    texts = torch.randn(12, 5, 12, generator=torch.Generator().manual_seed(4))
    return DenoiserTrainer(
        Denoiser(unet.train(), DDPMScheduler()), images(12), texts, {**RECIPE, **changes}, 0, "full/0"
    )


def finish(run):
    while not run.finished:
        run.run_epoch()
    return run


def frozen(network):
    return {name.replace(".base_layer", ""): q for name, q in network.named_parameters() if not q.requires_grad}


@pytest.mark.parametrize("ema", [0.9, None])
def test_only_the_adapter_is_trained(ema):
    run = trainer(ema=ema)
    before = {name: each.A.detach().clone() for name, each in lora.factors(run.network).items()}
    found = finish(run).final_weights()
    base = dict(unet_with_text().named_parameters())
    assert frozen(found).keys() == base.keys()
    assert all(torch.equal(q, base[name]) for name, q in frozen(found).items())
    for name, each in lora.factors(found).items():
        assert each.B.count_nonzero() and not torch.equal(each.A, before[name])


def test_its_state_is_of_the_adapter_alone_and_resumes_exactly():
    undisturbed = finish(trainer())
    first = trainer()
    first.run_epoch(), first.run_epoch()
    state = copy.deepcopy(first.state())
    assert all(".lora_" in name for name in state["weights"]) and len(state["ema"]) == len(state["weights"])
    second = trainer()
    second.load_state(state)
    finish(second)
    assert second.losses == undisturbed.losses
    for mine, theirs in zip(second.final_weights().parameters(), undisturbed.final_weights().parameters()):
        assert torch.equal(mine, theirs)


def test_the_loss_falls():
    run = finish(trainer(epochs=40))
    assert sum(run.losses[-5:]) < 0.95 * sum(run.losses[:5])
