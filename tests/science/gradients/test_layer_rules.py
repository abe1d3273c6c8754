"""Every layer rule against one-by-one autograd, in double precision."""

from itertools import product

import pytest
import torch
from support import randomised, values
from torch import nn

from waypoint.science.gradients import layer_rules
from waypoint.science.gradients.hooks import GroupNormHook, exact_hook

BATCHES = pytest.mark.parametrize("B, K", [(1, 1), (1, 3), (4, 1), (3, 2)])
CONVOLUTIONS = {
    "plain": ({"kernel_size": 3}, (5, 7)),
    "padded": ({"kernel_size": 3, "padding": 1}, (5, 7)),
    "strided": ({"kernel_size": 3, "stride": 2, "padding": 1}, (5, 7)),
    "strided past the edge": ({"kernel_size": 2, "stride": 3}, (7, 9)),
    "dilated": ({"kernel_size": 3, "dilation": 2, "padding": 2}, (5, 7)),
    "everything differs": ({"kernel_size": (3, 2), "stride": (1, 2), "padding": (0, 3), "dilation": (2, 1)}, (6, 5)),
    "asymmetric": ({"kernel_size": (1, 5), "padding": (0, 2)}, (5, 7)),
    "1 x 1": ({"kernel_size": 1}, (5, 7)),
    "1 x 1 padded": ({"kernel_size": 1, "padding": 1}, (5, 7)),
    "1 x 1 strided and padded": ({"kernel_size": 1, "stride": 2, "padding": 1}, (5, 7)),
    "one position": ({"kernel_size": 3}, (3, 3)),
}


def row_losses(out):
    """A loss for each row, curved in the output and another one in every row and place."""
    weights = values(*out.shape, seed=2) + 0.3
    return (weights * out.tanh() + 0.1 * weights.flip(0) * out**2).flatten(1).sum(1)


def one_by_one(layer, x, B):
    """Autograd over the rows of one example at a time: (B, columns). Zeros weigh the rows of the others."""
    learned = [q for q in layer.parameters() if q.requires_grad]
    losses = row_losses(layer(x)).view(B, -1).sum(1)
    each = [torch.autograd.grad(loss, learned, retain_graph=True) for loss in losses]
    return torch.stack([torch.cat([g.flatten() for g in gradients]) for gradients in each])


def reported(layer, x, B):
    """The gradients that the layer's hook reports in one pass over all rows, its parameters frozen as in the engine."""
    hook, reports = exact_hook(layer), []
    learned = [q for q in layer.parameters() if q.requires_grad]
    for q in learned:
        q.requires_grad_(False)
    with hook.attach(B, lambda gradients: reports.append(gradients())):
        row_losses(layer(x)).sum().backward()
    for q in learned:
        q.requires_grad_(True)
    (report,) = reports
    assert report.shape == (B, hook.width)
    return report


def check(layer, x, B):
    """Equal gradients, whether the graph begins at this layer or before it, and an input gradient left as it is."""
    layer = randomised(layer)
    expected = one_by_one(layer, x, B)
    assert expected.abs().max(1).values.min() > 1e-3
    assert torch.allclose(reported(layer, x, B), expected, rtol=1e-9, atol=1e-9)
    if x.is_floating_point():
        begun, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
        assert torch.allclose(reported(layer, begun, B), expected, rtol=1e-9, atol=1e-9)
        (expected,) = torch.autograd.grad(row_losses(layer(plain)).sum(), plain)
        assert torch.allclose(begun.grad, expected, rtol=1e-9, atol=1e-9)


def freeze(layer, name):
    getattr(layer, name).requires_grad_(False)
    return layer


@BATCHES
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name, B, K):
    """Every way to place the kernel, dense, in groups and depthwise, with and without bias."""
    options, size = CONVOLUTIONS[name]
    for (channels, outputs, groups), bias in product([(3, 5, 1), (4, 6, 2), (3, 6, 3)], [True, False]):
        layer = nn.Conv2d(channels, outputs, **options, groups=groups, bias=bias)
        check(layer, values(B * K, channels, *size), B)


@BATCHES
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_example_by_example(name, B, K):
    """As groups that are slow are replaced."""
    options, size = CONVOLUTIONS[name]
    for channels, outputs, groups in [(3, 5, 1), (4, 6, 2)]:
        layer = randomised(nn.Conv2d(channels, outputs, **options, groups=groups, bias=False))
        x = values(B * K, channels, *size)
        out = layer(x)
        (delta,) = torch.autograd.grad(row_losses(out).sum(), out, retain_graph=True)
        found = layer_rules.one_by_one(layer, x, delta, B)
        assert torch.allclose(found.flatten(1), one_by_one(layer, x, B), rtol=1e-9, atol=1e-9)


@BATCHES
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_convolution_of_channels_last(groups, B, K):
    """Memory formats change nothing: of the input, and of the weight too."""
    x = values(B * K, 4, 5, 7).to(memory_format=torch.channels_last)
    for layer in (nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=groups), nn.Conv2d(4, 8, 1, groups=groups)):
        check(layer, x, B)
        check(layer.to(memory_format=torch.channels_last), x, B)


@BATCHES
@pytest.mark.parametrize("positions", [(), (4,), (2, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(positions, bias, B, K):
    """Inputs of one vector a row, of a sequence, and of a grid."""
    check(nn.Linear(5, 3, bias=bias), values(B * K, *positions, 5), B)


@BATCHES
def test_linear_of_a_transposed_input(B, K):
    """As attention has it: positions in the place of channels, not contiguous."""
    check(nn.Linear(5, 3), values(B * K, 5, 4).transpose(1, 2), B)


@BATCHES
@pytest.mark.parametrize("groups, size", [(1, ()), (2, ()), (2, (4,)), (1, (5, 7)), (2, (5, 7)), (6, (5, 7))])
def test_group_norm(groups, size, B, K):
    """Of one vector a row, of sequences and of images, with all channels in one group or each in its own."""
    check(nn.GroupNorm(groups, 6, eps=1e-3), values(B * K, 6, *size), B)


@BATCHES
def test_group_norm_of_channels_last(B, K):
    check(nn.GroupNorm(2, 6), values(B * K, 6, 5, 7).to(memory_format=torch.channels_last), B)


@BATCHES
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "normalized, before", [((6,), ()), ((6,), (4,)), ((3, 6), ()), ((3, 6), (4,)), ((2, 3, 4), ())]
)
def test_layer_norm(normalized, before, bias, B, K):
    """Over one or several dimensions, with rows that have positions and rows that have none."""
    check(nn.LayerNorm(normalized, bias=bias, eps=1e-3), values(B * K, *before, *normalized), B)


@BATCHES
@pytest.mark.parametrize("positions", [(), (5,), (2, 3)])
def test_embedding(positions, B, K):
    """One look-up a row, and several with repetitions."""
    index = torch.randint(0, 4, (B * K, *positions), generator=torch.Generator().manual_seed(3))
    check(nn.Embedding(4, 3), index, B)


@pytest.mark.parametrize("frozen", ["weight", "bias"])
def test_a_frozen_weight_or_bias_has_no_columns(frozen):
    """The other one's gradients are all that is reported."""
    several = [
        (nn.Conv2d(3, 4, 3), (3, 5, 7)),
        (nn.Linear(5, 3), (4, 5)),
        (nn.GroupNorm(2, 4), (4, 5, 7)),
        (nn.LayerNorm(6), (4, 6)),
    ]
    for layer, shape in several:
        left = layer.bias if frozen == "weight" else layer.weight
        layer = freeze(layer, frozen)
        assert exact_hook(layer).width == left.numel()
        check(layer, values(6, *shape), 3)


def test_every_call_of_a_layer_is_reported():
    """Called twice in one pass, the reports add up to the gradient."""
    for layer in (randomised(nn.Linear(4, 4)), randomised(nn.GroupNorm(2, 4))):
        twice, x = nn.Sequential(layer, nn.Tanh(), layer), values(6, 4)
        expected, reports = one_by_one(twice, x, 3), []
        with exact_hook(layer).attach(3, lambda gradients, reports=reports: reports.append(gradients())):
            row_losses(twice(x)).sum().backward()
        assert len(reports) == 2
        assert torch.allclose(sum(reports), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("make", [lambda: nn.Conv2d(4, 4, 1), lambda: nn.GroupNorm(2, 4)])
def test_a_layer_is_left_as_it_was(make, fails):
    """After the pass, also one that failed, the layer computes what it did and reports nothing."""
    layer, x, reports = randomised(make()), values(2, 4, 3, 3), []
    before = layer(x)
    try:
        with exact_hook(layer).attach(2, lambda gradients: reports.append(gradients())):
            layer(x)
            if fails:
                raise RuntimeError("on purpose")
    except RuntimeError:
        assert fails
    assert "forward" not in vars(layer) and not layer._forward_hooks
    assert torch.equal(layer(x), before)
    layer(x).sum().backward()
    assert not reports


def test_group_norm_computes_the_same_output():
    """Side by side in one row, every row is still normalised alone."""
    layer, x = randomised(nn.GroupNorm(3, 6)), values(5, 6, 4, 3)
    expected = layer(x)
    with GroupNormHook(layer).attach(5, lambda gradients: None):
        assert torch.allclose(layer(x), expected, rtol=1e-12, atol=1e-12)


def test_unknown_layers_have_no_rule():
    assert exact_hook(nn.BatchNorm2d(3)) is None and exact_hook(nn.ConvTranspose2d(3, 3, 3)) is None
