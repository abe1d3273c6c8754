"""Per-example gradients of single layers, from what autograd passes through them.

A layer's observer sees its calls during a pass and reports (B, columns) of gradients for each. Most observers are a
forward hook that keeps the input x, a hook on the output for its gradient δ, and a rule. A rule maps x and δ, both with
rows ordered by example, to the gradients of the layer's own parameters, contracted over the rows of each example. With
K draws an example that is the gradient of the draw-averaged loss (Alg. 1 line 3) at the cost of the weight gradients of
one plain backward pass.

Shapes: R = B examples × K rows each; x (R, …), δ (R, …) of the layer's output; a rule returns one tensor
(B, parameter's size) for the layer's weight and one for its bias, None for a bias that it lacks.
"""

import contextlib

import torch
from torch import nn
from torch.nn import functional as F


def conv2d(layer, x, delta, B):
    """Convolution: each example is a group of its own, so one weight gradient of the backend's makes all of them."""
    x, delta = grouped_by_example(x, B), grouped_by_example(delta, B)
    weights = layer.weight.to(delta.dtype).repeat(B, 1, 1, 1)
    stride, padding, dilation = layer.stride, layer.padding, layer.dilation
    _, weight, _ = torch.ops.aten.convolution_backward(
        delta, x, weights, None, stride, padding, dilation, False, (0, 0), B * layer.groups, (False, True, False)
    )
    return weight.reshape(B, -1), None if layer.bias is None else delta.sum((0, 2, 3)).view(B, -1)


def grouped_by_example(x, B):
    """(B K, C, H, W) to (K, B C, H, W): an example's channels side by side with the others'."""
    return x.unflatten(0, (B, -1)).transpose(0, 1).flatten(1, 2)


def linear(layer, x, delta, B):
    """Linear map of the last dimension: Σ δ ⊗ x over rows and positions."""
    delta, x = by_example(delta, B), by_example(x, B)
    weight = (delta.transpose(1, 2) @ x).flatten(1)
    return weight, None if layer.bias is None else delta.sum(1)


def by_example(x, B):
    """(R, …, features) to (B, rows and positions of one example, features)."""
    return x.reshape(B, -1, x.shape[-1])


def layer_norm(layer, x, delta, B):
    """LayerNorm: Σ δ x̂ and Σ δ over rows and positions, per normalised feature."""
    shape = layer.normalized_shape
    scaled = by_example((delta * F.layer_norm(x, shape, None, None, layer.eps)).flatten(-len(shape)), B)
    return scaled.sum(1), None if layer.bias is None else by_example(delta.flatten(-len(shape)), B).sum(1)


def embedding(layer, x, delta, B):
    """Embedding: each row's δ added to the embedding that it looked up."""
    delta = by_example(delta, B)
    weight = delta.new_zeros(B, layer.num_embeddings, layer.embedding_dim)
    index = x.reshape(B, -1, 1).expand(delta.shape)
    return weight.scatter_add_(1, index, delta).flatten(1), None


RULES = {
    nn.Conv2d: conv2d,
    nn.Linear: linear,
    nn.LayerNorm: layer_norm,
    nn.Embedding: embedding,
}


class Observer:
    """A layer that is called with x first, and keeps of x what its gradients need.

    Subclasses say how many columns they report (``width``), what to ``keep`` and what the ``gradients`` are.
    """

    def __init__(self, layer):
        self.layer = layer

    @contextlib.contextmanager
    def watching(self, B, report):
        """While it lasts, ``report`` gets, for every call of the layer, a function that returns (B, width)."""

        def watch(layer, inputs, output):
            if not inputs:  # called by keyword: not seen
                return None
            with torch.no_grad():
                kept = self.keep(inputs[0].detach(), output)
            if not output.requires_grad:  # nothing before this layer is differentiated: the graph begins here
                output = output.requires_grad_().clone()  # a copy may be changed in place by what follows
            output.register_hook(lambda delta: report(lambda: self.gradients(kept, delta, B)))
            return output

        with self.layer.register_forward_hook(watch):
            yield


class Exact(Observer):
    """A column for each trainable parameter of the layer, by its rule."""

    def __init__(self, layer, rule):
        super().__init__(layer)
        self.rule = rule
        self.takes = [q is not None and q.requires_grad for q in (layer.weight, getattr(layer, "bias", None))]
        self.width = sum(q.numel() for q in layer.parameters(recurse=False) if q.requires_grad)

    def keep(self, x, output):
        """The input, in the precision of the layer's computation."""
        return x.to(output.dtype) if x.is_floating_point() else x

    def gradients(self, kept, delta, B):
        """(B, width)."""
        found = self.rule(self.layer, kept, delta, B)
        return torch.cat([part for part, takes in zip(found, self.takes) if takes], 1)


class ExactGroupNorm:
    """GroupNorm's weight and bias.

    For the pass each row gets a copy of them: R rows of C channels in G groups are one row of RC channels in RG
    groups. The kernel that makes the input's gradient then leaves each row's Σ δ x̂ and Σ δ at no extra cost.
    """

    def __init__(self, layer):
        self.layer = layer
        self.takes = [layer.weight.requires_grad, layer.bias.requires_grad]
        self.width = layer.num_channels * sum(self.takes)

    @contextlib.contextmanager
    def watching(self, B, report):
        """As ``Observer.watching``."""
        layer = self.layer

        def forward(input):
            R, C = input.shape[:2]
            rows = torch.cat([layer.weight.detach().expand(R, C), layer.bias.detach().expand(R, C)]).requires_grad_()
            rows.register_hook(lambda found: report(lambda: self.gradients(found, B)))
            weight, bias = rows.view(2, -1)
            one_row = input.reshape(1, R * C, *input.shape[2:])
            return torch.group_norm(one_row, R * layer.num_groups, weight, bias, layer.eps).view(input.shape)

        layer.forward = forward
        try:
            yield
        finally:
            del layer.forward

    def gradients(self, found, B):
        """(2, rows, channels) of weight and bias to (B, width)."""
        found = found.view(2, B, -1, self.layer.num_channels).sum(2)
        return torch.cat([part for part, takes in zip(found, self.takes) if takes], 1)


def exact(layer):
    """The observer of a layer's exact gradients; None where no rule is known to hold."""
    kind = next((kind for kind in (*RULES, nn.GroupNorm) if type(layer).forward is kind.forward), None)
    if kind is None or layer._parameters.get("weight") is None or not layer._parameters.keys() <= {"weight", "bias"}:
        return None
    if kind is nn.Conv2d and (layer.padding_mode != "zeros" or isinstance(layer.padding, str)):
        return None
    if kind is nn.Embedding and (layer.padding_idx is not None or layer.scale_grad_by_freq):
        return None
    return ExactGroupNorm(layer) if kind is nn.GroupNorm else Exact(layer, RULES[kind])
