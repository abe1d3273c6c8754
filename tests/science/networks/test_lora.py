"""Adapters: their gradients against W = W0 + (alpha / r) B A written out, and a base that stays as it is."""

from dataclasses import replace

import pytest
import torch
from diffusers import DDPMScheduler
from support import examples_with_text, unet_with_text
from torch.func import functional_call

from waypoint.errors import WaypointError
from waypoint.science.algorithm1 import train_loss
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.hooks import trainable
from waypoint.science.networks import lora
from waypoint.science.processes.ddpm import Denoiser

TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "net.2"]
RANK, ALPHA = 3, 6.0


def with_adapter(unet, alpha=ALPHA):
    """The network with an adapter of random A and B on every target."""
    names = lora.layers_named(unet, TARGETS)
    lora.add_adapter(unet, dict.fromkeys(names, RANK), dict.fromkeys(names, alpha))
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        for each in lora.factors(unet).values():
            each.B.copy_(torch.randn(each.B.shape) / 2)
    return unet.eval()


def denoisers():
    """The same base, with an adapter and alone, float64."""
    scheduler = DDPMScheduler(clip_sample=False)
    return Denoiser(with_adapter(unet_with_text()).double(), scheduler), Denoiser(unet_with_text().double(), scheduler)


class Explicit:
    """The base whose weights are W0 + (alpha / r) B A, as a function of A and B."""

    def __init__(self, base, factors):
        self.base, self.factors = base, factors

    def loss(self, values, example):
        weights = {name: q.detach() for name, q in self.base.unet.named_parameters()}
        for name, (A, B, alpha) in values.items():
            weights[f"{name}.weight"] = weights[f"{name}.weight"] + (alpha / len(A)) * B @ A
        x = self.base.add_noise(example.x0, example.epsilon, example.t)
        out = functional_call(self.base.unet, weights, (x, example.t), {"encoder_hidden_states": example.condition})
        return (out.sample - example.epsilon).pow(2).flatten(1).mean(1).mean()

    def gradients(self, example):
        values = {
            name: (f.A.detach().clone().requires_grad_(), f.B.detach().clone().requires_grad_(), f.alpha)
            for name, f in self.factors.items()
        }
        self.loss(values, example).backward()
        return values


def doubled(example):
    return replace(
        example, x0=example.x0.double(), epsilon=example.epsilon.double(), condition=example.condition.double()
    )


def test_gradients_are_those_of_the_weights_written_out():
    theta, base = denoisers()
    explicit = Explicit(base, lora.factors(theta.unet))
    examples = [doubled(example) for example in examples_with_text(3)]
    engine = PerExampleGradients(theta.unet)
    rows = engine(lambda example: train_loss(theta, example), examples)
    assert rows.shape[1] == sum(RANK * (f.A.shape[1] + f.B.shape[0]) for f in explicit.factors.values())
    assert engine.rest == []  # every layer has its rule
    for row, example in zip(rows, examples):
        expected = explicit.gradients(example)
        found = by_name(theta.unet, row)
        for name, (A, B, _) in expected.items():
            for side, value in (("A", A), ("B", B)):
                mine = found[f"{name}.lora_{side}.{lora.NAME}.weight"]
                torch.testing.assert_close(mine, value.grad, rtol=1e-9, atol=1e-12)


def by_name(unet, row):
    """A flat gradient by the names of its parameters."""
    learned = {name: q for name, q in unet.named_parameters() if q.requires_grad}
    parts = row.split([q.numel() for q in learned.values()])
    return {name: part.view(q.shape) for part, (name, q) in zip(parts, learned.items())}


def test_alpha_scales_what_the_adapter_adds():
    base, texts = unet_with_text(), torch.randn(2, 5, 12)
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([10, 700])
    names = lora.layers_named(base, ["to_q"])[:1]
    values = {names[0]: lora.Factors(torch.randn(2, 8), torch.randn(8, 2), 5.0)}
    adapted = unet_with_text()
    lora.put_factors(adapted, values)
    with torch.no_grad():
        base.get_submodule(names[0]).weight += 5 / 2 * values[names[0]].B @ values[names[0]].A
        torch.testing.assert_close(adapted(x, t, texts).sample, base(x, t, texts).sample)
    assert lora.factors(adapted)[names[0]].alpha == 5


def test_switched_off_it_is_the_base_bit_by_bit_and_then_on_again():
    theta, base, texts = with_adapter(unet_with_text()), unet_with_text(), torch.randn(2, 5, 12)
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([10, 700])
    with torch.no_grad():
        on = theta(x, t, texts).sample
        with lora.switched_off(theta):
            assert torch.equal(theta(x, t, texts).sample, base(x, t, texts).sample)
        assert torch.equal(theta(x, t, texts).sample, on) and not torch.equal(on, base(x, t, texts).sample)
    assert all(q.requires_grad == (".lora_" in name) for name, q in theta.named_parameters())


def test_a_new_adapter_changes_nothing_and_freezes_the_base():
    theta, base, texts = unet_with_text(), unet_with_text(), torch.randn(1, 5, 12)
    names = lora.layers_named(theta, TARGETS)
    lora.add_adapter(theta, dict.fromkeys(names, 2), dict.fromkeys(names, 2.0))
    assert all(f.B.count_nonzero() == 0 and f.A.count_nonzero() == f.A.numel() for f in lora.factors(theta).values())
    x, t = torch.randn(1, 1, 8, 8), torch.tensor([10])
    assert torch.equal(theta.eval()(x, t, texts).sample, base(x, t, texts).sample)
    assert len(trainable(theta)) == 2 * len(names)


def test_layers_may_have_ranks_and_alphas_of_their_own():
    theta = unet_with_text()
    first, second, *_ = lora.layers_named(theta, ["to_q"])
    values = {
        name: lora.Factors(torch.randn(r, 8 if i == 0 else theta.get_submodule(name).in_features),
                           torch.randn(theta.get_submodule(name).out_features, r), alpha)
        for i, (name, r, alpha) in enumerate([(first, 2, 1.0), (second, 4, 8.0)])
    }  # fmt: skip
    lora.put_factors(theta, values)
    found = lora.factors(theta)
    assert {name: (f.rank, f.alpha) for name, f in found.items()} == {first: (2, 1.0), second: (4, 8.0)}
    assert all(torch.equal(found[name].A, values[name].A) for name in values)


def test_a_target_that_is_no_layer_is_named_with_those_that_are():
    with pytest.raises(WaypointError, match=r"to_queue is not the end of a Linear layer's name .* to_q"):
        lora.layers_named(unet_with_text(), ["to_q", "to_queue"])
    names = lora.layers_named(unet_with_text(), ["to_out.0"])
    assert names and all(name.endswith(".to_out.0") for name in names)
