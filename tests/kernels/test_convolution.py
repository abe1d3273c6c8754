"""Convolutions with fewer products against torch's in double precision, and where torch's own are used."""

from unittest import mock

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel
from torch.nn import functional as F

from waypoint import kernels
from waypoint.kernels import convolution, winograd
from waypoint.kernels.convolution import Convolution, conv2d, torch_conv2d, weight_gradient
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.examples import Example

PLACE = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
# (rows, channels, outputs, height, width): a single band, edges of bands and vectors, more bands than the cache takes
SHAPES = [(1, 64, 8, 4, 16), (2, 8, 72, 8, 32), (3, 40, 16, 12, 24), (4, 16, 40, 20, 8), (6, 32, 32, 32, 32)]


def inputs(R, C, outputs, H, W, seed=0):
    """x, weight, bias and a gradient of the output."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (R, C, H, W), (outputs, C, 3, 3), (outputs,), (R, outputs, H, W)
    return [torch.randn(size, generator=generator) for size in sizes]


def computed(x, weight, bias, grad):
    """Waypoint's output and input gradient."""
    x = x.detach().requires_grad_()
    out = conv2d(x, weight, bias, **PLACE)
    assert type(out.grad_fn).__name__ == "ConvolutionBackward"  # not torch's
    return out.detach(), torch.autograd.grad(out, x, grad)[0]


def weight_gradients(x, grad, B):
    """By autograd in double precision, one example after the other."""
    weight = torch.zeros(grad.shape[1], x.shape[1], 3, 3, dtype=torch.double, requires_grad=True)
    outs = [(torch_conv2d(rows, weight, padding=1), g) for rows, g in zip(x.double().chunk(B), grad.double().chunk(B))]
    return torch.stack([torch.autograd.grad(out, weight, g)[0] for out, g in outs])


def bands(x):
    """Six rows, every four, of each column of x (R, C, H, W), as minimal filtering takes them: (R, C, H / 4, W, 6)."""
    return F.pad(x, (0, 0, 1, 1)).unfold(2, winograd.PRODUCTS, winograd.ROWS)


def within_rounding(found, expected, terms, absolute):
    """Whether each sum of products is as near as single precision's rounding lets it be, in any order.

    A term meets one rounding for each of ``terms`` that are added, and twenty in the transforms, each off by a share
    eps / 2 at most: all of them together by less than that many eps of the sum of ``absolute`` values (Higham,
    Accuracy and Stability of Numerical Algorithms, §3.1).
    """
    return ((found - expected).abs() <= (terms + 20) * torch.finfo(torch.float32).eps * absolute).all()


def absolute_matrices():
    """|A|, |G| and |B| of minimal filtering."""
    return [torch.from_numpy(abs(matrix)) for matrix in (winograd.A, winograd.G, winograd.B)]


def absolute_convolution(x, weight):
    """Σ |A| [(|G| |g|) (|B| |d|)] over channels and taps."""
    A, G, B = absolute_matrices()
    d = F.pad(bands(x.double().abs()) @ B.T, (0, 0, 1, 1)).unfold(3, winograd.TAPS, 1)  # (R, C, bands, W, 6, tap)
    products = torch.einsum("ka,ocas,rcbwks->robwk", G, weight.double().abs(), d)
    return (products @ A.T).movedim(-1, 3).flatten(2, 3)


def absolute_weight_gradient(x, grad, examples):
    """|G|ᵀ Σ (|A|ᵀ |δ|) (|B| |d|) over bands and columns of each example."""
    A, G, B = absolute_matrices()
    d = F.pad(bands(x.double().abs()) @ B.T, (0, 0, 1, 1)).unfold(3, winograd.TAPS, 1)
    delta = grad.double().abs().unflatten(2, (-1, winograd.ROWS)).movedim(3, -1) @ A
    products = torch.einsum("zrobwk,zrcbwks->zkocs", *(part.unflatten(0, (examples, -1)) for part in (delta, d)))
    return torch.einsum("ka,zkocs->zocas", G, products)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("with_bias", [True, False])
def test_output_and_input_gradient(shape, with_bias):
    x, weight, bias, grad = inputs(*shape)
    bias = bias if with_bias else None
    out, x_grad = computed(x, weight, bias, grad)
    x64 = x.double().requires_grad_()
    expected = torch_conv2d(x64, weight.double(), None if bias is None else bias.double(), padding=1)
    absolute = absolute_convolution(x, weight) + (0 if bias is None else bias.abs()[:, None, None])
    assert within_rounding(out, expected, 3 * x.shape[1], absolute)
    expected = torch.autograd.grad(expected, x64, grad.double())[0]
    absolute = absolute_convolution(grad, weight.flip(2, 3).transpose(0, 1))
    assert within_rounding(x_grad, expected, 3 * grad.shape[1], absolute)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_weight_gradient(shape):
    x, _, _, grad = inputs(*shape)
    for B in {1, shape[0]}:
        found, positions = weight_gradient(x, grad, B), x[:, 0].numel() // B // winograd.ROWS
        assert within_rounding(found, weight_gradients(x, grad, B), positions, absolute_weight_gradient(x, grad, B))


def test_minimal_filtering():
    """A [(G g) ⊙ (B d)] is the four sums of products that it stands for; A and B are exact in single precision."""
    generator = np.random.default_rng(0)
    g, d = generator.standard_normal(3), generator.standard_normal(6)
    found = winograd.A @ ((winograd.G @ g) * (winograd.B @ d))
    assert np.allclose(found, np.correlate(d, g, "valid"), rtol=1e-12, atol=1e-12)
    for matrix in (winograd.A, winograd.B):
        assert np.array_equal(matrix.astype(np.float32), matrix)


@pytest.mark.parametrize("layout", ["channels last", "every other", "expanded"])
def test_any_layout(layout):
    x, weight, bias, grad = inputs(2, 16, 32, 8, 16)
    if layout == "expanded":
        x, grad = x[:1].expand(2, -1, -1, -1), grad[:1].expand(2, -1, -1, -1)
    plain = [*computed(x.contiguous(), weight, bias, grad.contiguous()), weight_gradient(x, grad, 2)]
    if layout == "channels last":
        x, grad = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (x, grad))
    if layout == "every other":
        x, grad = (torch.stack([tensor, -tensor], -1)[..., 0] for tensor in (x, grad))
    assert all(map(torch.equal, plain, [*computed(x, weight, bias, grad), weight_gradient(x, grad, 2)]))


def test_results_depend_on_neither_threads_nor_batch(monkeypatch):
    """Bit by bit, with fewer rows than threads too; but for torch's product with G, last of a weight gradient's."""
    monkeypatch.setattr(torch, "einsum", lambda equation, G, sums: sums)
    x, weight, bias, grad = inputs(5, 16, 32, 32, 32)

    def all_of(x, grad):
        return [*computed(x, weight, bias, grad), weight_gradient(x, grad, len(x))]

    threads = torch.get_num_threads()
    try:
        found = []
        for torch_threads in (1, 2, 3, 16):
            torch.set_num_threads(torch_threads)
            found.append(all_of(x, grad))
    finally:
        torch.set_num_threads(threads)
    rows = [torch.cat(parts) for parts in zip(*(all_of(x[r : r + 1], grad[r : r + 1]) for r in range(5)))]
    for other in [*found[1:], rows]:
        assert all(map(torch.equal, found[0], other))


@pytest.mark.parametrize("place", [0, 3], ids=["input", "gradient"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_so(place, value):
    """Never a number made of nothing: wherever the formula has a NaN or an infinity, ours is not finite."""
    tensors = inputs(2, 16, 32, 8, 16)
    tensors[place][1, 3, 5, 7] = value
    x, weight, bias, grad = tensors
    found, x_grad = computed(*tensors)
    x64 = x.double().requires_grad_()
    expected = torch_conv2d(x64, weight.double(), bias.double(), padding=1)
    pairs = [
        (found, expected),
        (x_grad, torch.autograd.grad(expected, x64, grad.double())[0]),
        (weight_gradient(x, grad, 2), weight_gradients(x, grad, 2)),
    ]
    assert not all(b.isfinite().all() for _, b in pairs)
    for a, b in pairs:
        assert not a[~b.isfinite()].isfinite().any()
        assert torch.equal(a[0].isfinite(), b[0].isfinite())  # the other row is left alone


@pytest.mark.parametrize(
    "shape, options",
    [
        ((1, 32, 32, 8, 16), {"stride": (2, 2)}),
        ((1, 32, 32, 8, 16), {"padding": (0, 0)}),
        ((1, 32, 32, 8, 16), {"dilation": (2, 2)}),
        ((1, 36, 32, 8, 16), {}),
        ((1, 32, 36, 8, 16), {}),
        ((1, 16, 16, 8, 16), {}),
        ((1, 32, 32, 6, 16), {}),
        ((1, 32, 32, 8, 12), {}),
    ],
    ids=["strided", "no padding", "dilated", "odd channels", "odd outputs", "few", "odd height", "odd width"],
)
def test_the_rest_is_torch_s(shape, options):
    x, weight, bias, _ = inputs(*shape)
    arguments = x, weight, bias, *(PLACE | options).values()
    found = conv2d(x.requires_grad_(), *arguments[1:])
    assert type(found.grad_fn).__name__ != "ConvolutionBackward"
    assert torch.equal(found, torch_conv2d(*arguments))


@pytest.mark.parametrize("kind", ["grouped", "1 × 1", "double", "bfloat16", "trainable", "one row without a batch"])
def test_other_weights_are_torch_s(kind):
    x, weight, _, _ = inputs(1, 32, 32, 8, 16)
    place = dict(PLACE)
    if kind == "grouped":
        weight, place["groups"] = weight[:, :16], 2
    elif kind == "1 × 1":
        weight = weight[..., :1, :1]
    elif kind == "one row without a batch":
        x = x[0]
    elif kind == "trainable":
        weight.requires_grad_()
    else:
        x, weight = (tensor.to(getattr(torch, kind)) for tensor in (x, weight))
    assert not convolution.fits(x, weight, *place.values())
    assert torch.equal(conv2d(x, weight, None, **place), torch_conv2d(x, weight, None, **place))


def test_autocast_is_torch_s():
    """Inputs and weights are float32 there, and what torch computes is not."""
    x, weight, _, _ = inputs(1, 32, 32, 8, 16)
    with torch.autocast("cpu", torch.bfloat16):
        assert conv2d(x, weight, None, **PLACE).dtype == torch.bfloat16


def test_torch_is_left_as_it_was():
    with pytest.raises(KeyError), kernels.fast_cpu():
        assert F.conv2d is conv2d
        raise KeyError
    assert F.conv2d is torch_conv2d


def test_gradients_of_a_unet_are_autograd_s(monkeypatch):
    """A whole UNet of 16 × 16 positions, of whose convolutions those of enough channels are computed here."""
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=16,
        in_channels=1,
        out_channels=1,
        block_out_channels=[16, 32],
        down_block_types=["DownBlock2D"] * 2,
        up_block_types=["UpBlock2D"] * 2,
        layers_per_block=1,
        norm_num_groups=4,
    ).eval()
    calls, gradients = mock.Mock(wraps=Convolution.apply), mock.Mock(wraps=weight_gradient)
    monkeypatch.setattr(Convolution, "apply", calls)
    monkeypatch.setattr(convolution, "weight_gradient", gradients)
    examples = [
        Example(torch.randn(3, 1, 16, 16), torch.tensor([10, 500, 900]), torch.randn(3, 1, 16, 16)) for _ in range(2)
    ]

    def loss(e):
        return (unet(e.x0, e.t).sample - e.epsilon).pow(2).flatten(1).mean(1)

    engine = PerExampleGradients(unet)
    engine(loss, examples)
    calls.reset_mock(), gradients.reset_mock()
    rows = engine(loss, examples)
    convolutions = [layer for layer in unet.modules() if isinstance(layer, torch.nn.Conv2d)]
    ours = [
        c
        for c in convolutions
        if c.kernel_size == (3, 3) and c.stride == (1, 1) and c.in_channels * c.out_channels >= 512
    ]
    assert calls.call_count == gradients.call_count == len(ours) > 10
    for row, example in zip(rows, examples):
        expected = torch.autograd.grad(loss(example).mean(), list(unet.parameters()))
        expected = torch.cat([gradient.flatten() for gradient in expected])
        assert (row - expected).abs().max() < 1e-5 * expected.abs().max()
