"""Rules for the per-example gradients of single layers.

A rule maps a layer's input x and output gradient δ, both with rows ordered by example, to the gradients of the layer's
own parameters, contracted over the rows of each example. With K draws per example, this gives the gradient of the
draw-averaged loss (Alg. 1 line 3) at the cost of the weight gradients of one ordinary backward pass.

Shapes: R = B examples × K rows each; x (R, …); δ (R, …), as the layer's output. A rule returns a tensor
(B, parameter's size) for the layer's weight and one for its bias, or None if it has no bias.
"""

# torch is partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# torch's layers declare a bias that may be None as a parameter
# pyright: reportUnnecessaryComparison=false

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn import functional as F

from waypoint import kernels

# of the weight, and of the bias if the layer has one
Gradient: TypeAlias = tuple[torch.Tensor, torch.Tensor | None]
Rule: TypeAlias = Callable[[Any, torch.Tensor, torch.Tensor, int], Gradient]  # each applies to layers of one class


def conv2d(layer: nn.Conv2d, x: torch.Tensor, delta: torch.Tensor, B: int) -> Gradient:
    """Convolution: a matrix product for a 1 × 1 kernel, else the weight gradient of a compiled kernel or the backend.

    One call of the backend handles all examples as groups, unless a call per example is faster.
    """
    bias = None if layer.bias is None else delta.sum((2, 3)).unflatten(0, (B, -1)).sum(1)
    if is_pointwise(layer):
        return contract(delta, x, B).flatten(1), bias
    weight = kernels.conv2d_weight_gradient(layer, x, delta, B)
    if weight is None and groups_are_slow(layer, delta, B):
        weight = one_by_one(layer, x, delta, B)
    elif weight is None:
        weight = weight_gradient(layer, grouped_by_example(x, B), grouped_by_example(delta, B), B)
    return weight.reshape(B, -1), bias


def groups_are_slow(layer: nn.Conv2d, delta: torch.Tensor, B: int) -> bool:
    """Whether one grouped convolution is slower than a call per example: with many channels on a GPU, few on a CPU."""
    multiplications = delta.numel() // B * layer.weight[0].numel()
    if delta.is_cuda:
        return multiplications >= 1 << 28
    return multiplications >= 1 << 24 and min(layer.weight.shape[:2]) < 8


def one_by_one(layer: nn.Conv2d, x: torch.Tensor, delta: torch.Tensor, B: int) -> torch.Tensor:
    """Compute a convolution's weight gradient example by example: (B, …)."""
    return torch.stack([weight_gradient(layer, *pair, 1) for pair in zip(x.chunk(B), delta.chunk(B))])


def is_pointwise(layer: nn.Conv2d) -> bool:
    """Whether a convolution is a linear map of the channels at each position."""
    is_1x1 = (layer.kernel_size, layer.stride, layer.padding) == ((1, 1), (1, 1), (0, 0))
    return is_1x1 and layer.groups == 1


def weight_gradient(layer: nn.Conv2d, x: torch.Tensor, delta: torch.Tensor, copies: int) -> torch.Tensor:
    """Return the backend's weight gradient, with copies of the layer as groups: (copies · outputs, …)."""
    weights = layer.weight.to(delta.dtype).repeat(copies, 1, 1, 1)
    geometry = layer.stride, layer.padding, layer.dilation, False, (0, 0), copies * layer.groups
    return torch.ops.aten.convolution_backward(delta, x, weights, None, *geometry, (False, True, False))[1]


def contract(a: torch.Tensor, delta: torch.Tensor, B: int) -> torch.Tensor:
    """Return Σ a ⊗ δ over draws and positions of (R, r, H, W) and (R, C, H, W) in any memory format: (B, r, C)."""
    # with few positions, products by row would be larger than their factors
    few_positions = delta[0, 0].numel() < min(a.shape[1], delta.shape[1])
    if few_positions or not delta.is_contiguous():
        a, delta = (by_example(x.permute(0, 2, 3, 1), B) for x in (a, delta))
        return a.transpose(1, 2) @ delta
    rows = a.flatten(2) @ delta.flatten(2).transpose(1, 2)
    return rows.unflatten(0, (B, -1)).sum(1)


def grouped_by_example(x: torch.Tensor, B: int) -> torch.Tensor:
    """Reshape (B K, C, H, W) to (K, B C, H, W), with the channels of all examples side by side."""
    return x.unflatten(0, (B, -1)).transpose(0, 1).flatten(1, 2)


def linear(layer: nn.Linear, x: torch.Tensor, delta: torch.Tensor, B: int) -> Gradient:
    """Linear map of the last dimension: Σ δ ⊗ x over rows and positions."""
    delta, x = by_example(delta, B), by_example(x, B)
    weight = (delta.transpose(1, 2) @ x).flatten(1)
    return weight, None if layer.bias is None else delta.sum(1)


def by_example(x: torch.Tensor, B: int) -> torch.Tensor:
    """Reshape (R, …, features) to (B, rows and positions of one example, features)."""
    return x.reshape(B, -1, x.shape[-1])


def layer_norm(layer: nn.LayerNorm, x: torch.Tensor, delta: torch.Tensor, B: int) -> Gradient:
    """LayerNorm: Σ δ x̂ and Σ δ over rows and positions, per normalised feature."""
    shape = layer.normalized_shape
    scaled = by_example((delta * F.layer_norm(x, shape, None, None, layer.eps)).flatten(-len(shape)), B)
    return scaled.sum(1), None if layer.bias is None else by_example(delta.flatten(-len(shape)), B).sum(1)


def embedding(layer: nn.Embedding, x: torch.Tensor, delta: torch.Tensor, B: int) -> Gradient:
    """Embedding: the δ of each position is added to the embedding it looked up."""
    delta = by_example(delta, B)
    weight = delta.new_zeros(B, layer.num_embeddings, layer.embedding_dim)
    index = x.reshape(B, -1, 1).expand(delta.shape)
    return weight.scatter_add_(1, index, delta).flatten(1), None


RULES: dict[type[nn.Module], Rule] = {
    nn.Conv2d: conv2d,
    nn.Linear: linear,
    nn.LayerNorm: layer_norm,
    nn.Embedding: embedding,
}
