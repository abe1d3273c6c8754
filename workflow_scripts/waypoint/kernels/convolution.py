"""3 × 3 convolutions on CPUs with half the multiplications: ``winograd.py`` as a torch autograd function.

The same sums are computed in another order with other roundings: results differ from torch's by a few times torch's own
rounding error. They depend neither on the number of threads nor on the batch, except for the rounding of the last
product of a weight gradient, which is torch's.
"""

import math

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from waypoint.kernels.openmp import in_threads

torch_conv2d = F.conv2d  # torch's own, before ``kernels.fast_cpu`` replaces it


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """``F.conv2d``, computed by the kernels where they apply.

    Args:
        input: (R, C, H, W).

    Returns:
        (R, outputs, H, W)
    """
    if fits(input, weight, stride, padding, dilation, groups):
        return Convolution.apply(input, weight, bias)
    return torch_conv2d(input, weight, bias, stride, padding, dilation, groups)


def fits(x, weight, stride, padding, dilation, groups):
    """Whether the kernels apply to a convolution: on a CPU, in float32, with frozen 3 × 3 filters that keep the size,
    dimensions that divide into whole bands and vectors, and enough channels to be faster.
    """
    if (*weight.shape[2:], stride, padding, dilation, groups) != (3, 3, (1, 1), (1, 1), (1, 1), 1):
        return False
    outputs, channels = weight.shape[:2]
    aligned = x.ndim == 4 and not (x.shape[2] % 4 or x.shape[3] % 8 or outputs % 8 or channels % 8)
    is_float32 = x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return aligned and is_float32 and x.device.type == "cpu" and outputs * channels >= 512 and not weight.requires_grad


class Convolution(torch.autograd.Function):
    """The convolution, and its input gradient: the output gradient convolved with the flipped filters."""

    @staticmethod
    def forward(ctx, input, weight, bias):
        ctx.save_for_backward(weight)
        return convolve(input, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (weight,) = ctx.saved_tensors
        return convolve(grad, weight.flip(2, 3).transpose(0, 1), None), None, None


def convolve(x, weight, bias):
    """Convolve x (R, C, H, W) with padding 1: (R, outputs, H, W)."""
    from waypoint.kernels import winograd  # imported lazily: importing Numba is slow

    out = x.new_empty(len(x), len(weight), *x.shape[2:])
    bias = x.new_zeros(len(weight)) if bias is None else bias
    taps = weight.double().unflatten(0, (-1, winograd.OUTPUTS)).permute(3, 0, 4, 2, 1).flatten(1)
    filters = (torch.from_numpy(winograd.G) @ taps).float()
    in_threads(winograd.convolve, len(x) * x.shape[2] // winograd.ROWS, x.contiguous(), filters, bias, out)
    return out


def weight_gradient(x, delta, B):
    """Per-example weight gradients, summed over rows, of x (B K, C, H, W) and
    δ (B K, outputs, H, W): (B, outputs, C, 3, 3).
    """
    from waypoint.kernels import winograd

    C, outputs = x.shape[1], delta.shape[1]
    parts = math.gcd(2, x.shape[0] // B * x.shape[2] // winograd.ROWS)  # per example, divided among the threads
    sums = x.new_zeros(B * parts, winograd.PRODUCTS, winograd.TAPS, outputs, winograd.up(C, winograd.WIDE))
    in_threads(winograd.correlate, len(sums), x.contiguous(), delta.contiguous(), sums)
    sums = sums[..., :C].unflatten(0, (B, parts)).sum(1)
    return torch.einsum("ka,zkboc->zocab", torch.from_numpy(winograd.G).float(), sums)
