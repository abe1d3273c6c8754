"""Factored gradients against the explicit P_outᵀ G P_in, and their inner products over many keys."""

import pytest
import torch
from support import randomised, values
from torch import nn

from waypoint.science.gradients.logra import LoGraHook, sign_matrix
from waypoint.science.random_streams import derive

CONVOLUTIONS = {
    "padded": ({"kernel_size": 3, "padding": 1}, (5, 7)),
    "strided": ({"kernel_size": 3, "stride": 2, "padding": 1}, (5, 7)),
    "dilated": ({"kernel_size": 3, "dilation": 2, "padding": (2, 1)}, (6, 7)),
    "asymmetric": ({"kernel_size": (1, 3), "stride": (1, 2)}, (5, 7)),
    "1 x 1": ({"kernel_size": 1}, (5, 7)),
    "1 x 1 strided and padded": ({"kernel_size": 1, "stride": 2, "padding": 1}, (5, 7)),
}
B, K = 3, 2


def keys(seed):
    return [derive(seed, side) for side in ("in", "out")]


def row_losses(out):
    """A loss for each row, curved in the output; examples have enough in common for their gradients to agree."""
    weights = values(*out.shape, seed=2) + 1
    return (weights * out.tanh()).flatten(1).sum(1)


def gradient_matrices(layer, x):
    """Σ δ ⊗ a of each example by autograd: (B, outputs, inputs), inputs by tap and channel, the bias last."""
    found = []
    for loss in row_losses(layer(x)).view(B, -1).sum(1):
        gradients = torch.autograd.grad(loss, list(layer.parameters()), retain_graph=True)
        weight = gradients[0]
        matrix = weight.movedim(1, -1).flatten(1)
        bias = gradients[1] if len(gradients) == 2 else torch.zeros(len(weight)).double()
        found.append(torch.cat([matrix, bias[:, None]], 1))
    return torch.stack(found)


def explicit_factors(hook):
    """P_in (inputs + 1 × r_in), each column in the rows of its own tap, and P_out (outputs × r_out)."""
    layer = hook.layer
    outputs, channels = layer.weight.shape[:2]
    taps, r_in = layer.weight[0, 0].numel(), len(hook.P_in)
    P_in = torch.zeros(taps * channels + 1, r_in).double()
    for column in range(r_in):
        tap = 0
        if isinstance(layer, nn.Conv2d):
            (tap,) = hook.shift[column].flatten().nonzero().flatten().tolist()
        P_in[tap * channels : (tap + 1) * channels, column] = hook.P_in[column]
        if hook.offset is not None:
            P_in[-1, column] = hook.offset[column]
    return P_in, torch.eye(outputs).double() if hook.P_out is None else hook.P_out


def factored(hook, x):
    """The gradients that the hook reports in one pass over all rows, the layer frozen as in the engine."""
    reports = []
    hook.layer.requires_grad_(False)
    with hook.attach(B, lambda gradients: reports.append(gradients())):
        row_losses(hook.layer(x)).sum().backward()
    hook.layer.requires_grad_(True)
    (report,) = reports
    assert report.shape == (B, hook.width)
    return report


def check(layer, x, rank):
    layer = randomised(layer)
    hook = LoGraHook(layer, rank, keys(0))
    P_in, P_out = explicit_factors(hook)
    expected = P_in.T @ gradient_matrices(layer, x).transpose(1, 2) @ P_out
    assert torch.allclose(factored(hook, x), expected.flatten(1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rank", [1, 3, 4, 6, 100])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_is_compressed_by_its_factors(name, bias, rank):
    """In both memory formats, of ranks that compress both sides, one, and none."""
    options, size = CONVOLUTIONS[name]
    layer, x = nn.Conv2d(5, 6, **options, bias=bias), values(B * K, 5, *size)
    check(layer, x, rank)
    check(layer, x.to(memory_format=torch.channels_last), rank)
    check(layer.to(memory_format=torch.channels_last), x, rank)


@pytest.mark.parametrize("rank", [1, 3, 6, 100])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("positions", [(), (4,), (2, 3)])
def test_linear_is_compressed_by_its_factors(positions, bias, rank):
    check(nn.Linear(7, 6, bias=bias), values(B * K, *positions, 7), rank)


def test_an_input_of_other_strides_changes_nothing():
    """Linear of a transposed input, convolution of part of a larger one."""
    check(nn.Linear(7, 6), values(B * K, 7, 4).transpose(1, 2), 3)
    check(nn.Conv2d(5, 6, 3), values(B * K, 9, 5, 7)[:, 2:7], 4)


@pytest.mark.parametrize(
    "layer, rank, width",
    [
        (nn.Linear(70, 60), 8, 8 * 8),
        (nn.Linear(70, 4), 8, 4 * 16),
        (nn.Linear(7, 60), 8, 8 * 7),
        (nn.Linear(7, 4), 8, 4 * 7),
        (nn.Conv2d(16, 20, 3), 10, 10 * 9),
        (nn.Conv2d(16, 20, 3), 16, 16 * 9),
        (nn.Conv2d(16, 20, 3), 17, 17 * 9),
        (nn.Conv2d(16, 20, 3), 18, 18 * 2 * 9),
        (nn.Conv2d(16, 4, 3), 10, 4 * 2 * 9),
        (nn.Conv2d(16, 20, 3), 2, 2 * 9),
        (nn.Conv2d(16, 20, 1), 10, 10 * 10),
        (nn.Conv2d(2, 3, 3), 50, 3 * 2 * 9),
    ],
)
def test_width(layer, rank, width):
    """r_out × r_in: what one side cannot use goes to the other, in equal parts for each tap."""
    assert LoGraHook(layer, rank, keys(0)).width == width


def test_entries_are_signs_scaled_by_the_columns():
    """±1/√columns on both sides and for the constant, which has columns of the first tap alone."""
    hook = LoGraHook(randomised(nn.Conv2d(16, 20, 3)), 18, keys(0))
    assert torch.allclose(hook.P_in.abs(), torch.tensor(2**-0.5).double())
    assert torch.allclose(hook.P_out.abs(), torch.tensor(18**-0.5).double())
    assert torch.allclose(hook.offset.abs(), torch.tensor([2**-0.5] * 2 + [0.0] * 16).double())
    taps = hook.P_in.view(9, -1)
    assert len({tuple(tap.tolist()) for tap in taps}) == 9


def test_sign_matrix_is_the_same_for_one_key():
    assert torch.equal(sign_matrix(1, 30, 7), sign_matrix(1, 30, 7))
    assert not torch.equal(sign_matrix(1, 30, 7), sign_matrix(2, 30, 7))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "make, shape, rank",
    [
        (lambda bias: nn.Linear(7, 6, bias=bias), (4, 7), 3),
        (lambda bias: nn.Linear(7, 6, bias=bias), (4, 7), 1),
        (lambda bias: nn.Linear(3, 9, bias=bias), (4, 3), 4),
        (lambda bias: nn.Conv2d(5, 6, 3, stride=2, padding=1, bias=bias), (5, 5, 7), 5),
        (lambda bias: nn.Conv2d(5, 6, 1, bias=bias), (5, 5, 7), 3),
    ],
)
def test_inner_products_are_unbiased(make, shape, rank, bias):
    """Over many keys the mean of every inner product and norm is that of weight and bias gradients together.

    The standard error is small beside them, so a factor left out or used twice would show.
    """
    layer, x = randomised(make(bias)), values(B * K, *shape) + 0.5
    matrices = gradient_matrices(layer, x).flatten(1)
    expected = matrices @ matrices.T
    found = []
    for seed in range(600):
        rows = factored(LoGraHook(layer, rank, keys(seed)), x)
        found.append(rows @ rows.T)
    found = torch.stack(found)
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - expected).abs() < 4.5 * error).all()
    norms = expected.diagonal()
    assert (error < 0.12 * (norms[:, None] * norms).sqrt()).all()


@pytest.mark.parametrize("make, shape", [(nn.Linear, (4, 7)), (nn.Conv2d, (7, 5, 6))])
def test_nothing_is_compressed_by_a_large_rank(make, shape):
    """Inner products of weight gradients are exact; the bias adds its gradient times a random unit vector."""
    size = (7, 6) if make is nn.Linear else (7, 6, 3)
    for bias in (False, True):
        layer, x = randomised(make(*size, bias=bias)), values(B * K, *shape)
        hook = LoGraHook(layer, 100, keys(0))
        matrices = gradient_matrices(layer, x)
        weights, biases = matrices[..., :-1], matrices[..., -1:]
        if bias:
            assert torch.allclose(hook.offset.norm(), torch.tensor(1.0).double())
            weights = torch.cat([weights[..., :7] + biases * hook.offset[:7], weights[..., 7:]], -1)
        rows = factored(hook, x)
        assert hook.P_out is None and rows.shape[1] == weights[0].numel()
        assert torch.allclose(rows @ rows.T, weights.flatten(1) @ weights.flatten(1).T, rtol=1e-6)
