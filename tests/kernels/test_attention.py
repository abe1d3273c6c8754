"""Attention of narrow heads against its formula in double precision, and where torch's own is used."""

import subprocess
import sys
from unittest import mock

import pytest
import torch
from diffusers import UNet2DModel
from support import SCRIPTS
from torch.nn import functional as F

from waypoint import kernels
from waypoint.kernels.attention import Attention, attention, torch_attention
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.examples import Example


def heads(R=2, H=3, T=128, S=128, E=8, scale=1.0, seed=0):
    """q, k, v and a gradient of the output, laid out as attention layers lay them out."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [(T, scale), (S, scale), (S, 1), (T, 1)]
    return [(s * torch.randn(R, n, H, E, generator=generator)).transpose(1, 2) for n, s in sizes]


def by_formula(q, k, v, grad):
    """softmax(q kᵀ/√E) v and autograd's gradients of it, in double precision."""
    q, k, v = (x.double().requires_grad_() for x in (q, k, v))
    out = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1) @ v
    return [out, *torch.autograd.grad(out, (q, k, v), grad.double())]


def computed(q, k, v, grad):
    """Waypoint's output and gradients."""
    q, k, v = (x.clone(memory_format=torch.preserve_format).requires_grad_() for x in (q, k, v))
    out = attention(q, k, v)
    assert type(out.grad_fn).__name__ == "AttentionBackward"  # not torch's
    return [out, *torch.autograd.grad(out, (q, k, v), grad)]


def rounding(q, k, v, grad):
    """How far rounding can take the output and the gradients from the formula, in single precision and any order.

    A sum of n products is off by n eps / 2 of the sum of their absolute values at most. A score is such a sum of eight,
    scaled; what is subtracted from it is as large as the largest. Weights w with errors e of their scores, relative to
    w, are off by (1 - w) e and by what the others' errors add to their sum; never are they smaller than ``tiny``.
    """
    single, (q, k, v, grad) = torch.finfo(torch.float32), (x.double() for x in (q, k, v, grad))
    scores, sizes = (f(q) @ f(k).transpose(-1, -2) / 8**0.5 for f in (torch.positive, torch.abs))
    w, score = scores.softmax(-1), 8 * single.eps * sizes
    share = (1 - 2 * w) * score + (w * score).sum(-1, keepdim=True) + single.eps * sizes.amax(-1, keepdim=True)
    sums = (k.shape[2] + q.shape[2] + 16) * single.eps
    off = w * (torch.expm1(share) + sums) + 2 * single.tiny
    by_weight, size = (f(grad) @ f(v).transpose(-1, -2) for f in (torch.positive, torch.abs))  # of the output, changes
    change = (by_weight - (w * by_weight).sum(-1, keepdim=True)).abs()
    from_mean = (off * size).sum(-1, keepdim=True) + sums * (size + (w * size).sum(-1, keepdim=True))
    change = (off * change + (w + off) * from_mean) / 8**0.5
    return [off @ v.abs(), change @ k.abs(), change.transpose(-1, -2) @ q.abs(), off.transpose(-1, -2) @ grad.abs()]


def equals_its_formula(inputs):
    """But for rounding, which grows with the scores."""
    parts = zip(computed(*inputs), by_formula(*inputs), rounding(*inputs), strict=True)
    return all(((found - expected).abs() <= bound).all() for found, expected, bound in parts)


@pytest.mark.parametrize("scale", [0.01, 1.0, 5.0, 40.0], ids=lambda s: f"scores of {s}")
@pytest.mark.parametrize("T, S", [(16, 16), (4, 128), (128, 128), (256, 131), (132, 300)])
def test_equals_its_formula(T, S, scale):
    """Small scores, and scores of thousands, whose exponentials alone would overflow."""
    assert equals_its_formula(heads(T=T, S=S, scale=scale))


def test_one_key_outweighs_all_others():
    q, k, v, grad = heads()
    q[:], k[:] = 10, -10
    k[:, :, 77] = 10
    out, *_ = computed(q, k, v, grad)
    assert torch.equal(out, v[:, :, 77:78].expand(out.shape))


@pytest.mark.parametrize("layout", ["by head", "by position", "strided"])
def test_any_layout(layout):
    inputs = heads()
    made = {
        "by head": lambda x: x.contiguous(),
        "by position": lambda x: x,
        "strided": lambda x: torch.stack([x, -x], -1)[..., 0],
    }[layout]
    assert equals_its_formula([made(x) for x in inputs])


@pytest.mark.parametrize("place", ["q", "k", "v"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_so(place, value):
    """Never a number made of nothing: wherever the formula has a NaN, so has the output."""
    inputs = dict(zip("qkvg", heads()))
    inputs[place][0, 1, 5, 3] = value
    found, expected = computed(*inputs.values())[0], by_formula(*inputs.values())[0]
    assert not expected.isfinite().all()
    assert torch.equal(found.isfinite(), expected.isfinite())


def test_results_depend_on_neither_threads_nor_batch():
    """Bit by bit."""
    q, k, v, grad = heads(R=5)
    threads = torch.get_num_threads()
    try:
        found = []
        for torch_threads in (1, 2, 3, 16):
            torch.set_num_threads(torch_threads)
            found.append(computed(q, k, v, grad))
    finally:
        torch.set_num_threads(threads)
    rows = [torch.cat(parts) for parts in zip(*(computed(*(x[r : r + 1] for x in (q, k, v, grad))) for r in range(5)))]
    for other in [*found[1:], rows]:
        assert all(map(torch.equal, found[0], other))


@pytest.mark.parametrize(
    "inputs, options",
    [
        ({"E": 16}, {}),
        ({"S": 12}, {}),
        ({"T": 130}, {}),
        ({}, {"is_causal": True}),
        ({}, {"scale": 0.5}),
        ({}, {"attn_mask": torch.ones(128, 128).tril().bool()}),
    ],
    ids=["wider", "few keys", "odd number of queries", "causal", "another scale", "masked"],
)
def test_the_rest_is_torch_s(inputs, options):
    q, k, v, _ = heads(**inputs)
    q.requires_grad_()
    found = attention(q, k, v, **options)
    assert type(found.grad_fn).__name__ != "AttentionBackward"
    assert torch.equal(found, torch_attention(q, k, v, **options))


def test_bfloat16_is_torch_s():
    q, k, v, _ = (x.bfloat16() for x in heads())
    assert torch.equal(attention(q, k, v), torch_attention(q, k, v))


def test_torch_is_left_as_it_was():
    with pytest.raises(KeyError), kernels.fast_cpu():
        assert F.scaled_dot_product_attention is attention
        raise KeyError
    assert F.scaled_dot_product_attention is torch_attention


def test_gradients_of_a_unet_are_autograd_s(monkeypatch):
    """A whole UNet whose heads are diffusers' own: eight channels, 12 × 12 positions."""
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=12,
        in_channels=1,
        out_channels=1,
        block_out_channels=[16],
        down_block_types=["AttnDownBlock2D"],
        up_block_types=["AttnUpBlock2D"],
        layers_per_block=1,
        norm_num_groups=4,
    ).eval()
    calls = mock.Mock(wraps=Attention.apply)
    monkeypatch.setattr(Attention, "apply", calls)
    examples = [
        Example(torch.randn(3, 1, 12, 12), torch.tensor([10, 500, 900]), torch.randn(3, 1, 12, 12)) for _ in range(2)
    ]

    def loss(e):
        return (unet(e.x0, e.t).sample - e.epsilon).pow(2).flatten(1).mean(1)

    rows = PerExampleGradients(unet)(loss, examples)
    assert calls.call_count == 4  # down, middle and twice up
    for row, example in zip(rows, examples):
        expected = torch.autograd.grad(loss(example).mean(), list(unet.parameters()))
        expected = torch.cat([gradient.flatten() for gradient in expected])
        assert (row - expected).abs().max() < 1e-5 * expected.abs().max()


def test_numba_comes_only_when_it_is_needed():
    """It takes a second to import."""
    code = "import sys; import waypoint.science.gradients.engine; print('numba' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(SCRIPTS)}
    )
    assert done.stdout.strip() == "False", done.stderr
