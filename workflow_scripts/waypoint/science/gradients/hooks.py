"""Hooks on layers: each sees its layer's calls in a forward and backward pass, and reports per-example gradients.

Most hooks keep the layer's input x in the forward pass, get its output's gradient δ in the backward pass, and apply a
rule of ``layer_rules``. Shapes: R = B examples × K rows each; x (R, …), δ (R, …) of the layer's output; what a hook
reports is (B, columns).
"""

import contextlib
from functools import partial

import torch
from torch import nn

from waypoint.science.gradients.layer_rules import RULES


class LayerHook:
    """A layer that is called with x first, and keeps of x what its gradients need.

    Subclasses say how many columns they report (``width``), what to ``keep`` and what the ``gradients`` are.
    """

    def __init__(self, layer):
        self.layer = layer

    @contextlib.contextmanager
    def attach(self, B, report):
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


class ExactHook(LayerHook):
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


class GroupNormHook:
    """GroupNorm's weight and bias.

    For the pass each row gets a copy of them: R rows of C channels in G groups are one row of RC channels in RG
    groups. The kernel that makes the input's gradient then leaves each row's Σ δ x̂ and Σ δ at no extra cost.
    """

    def __init__(self, layer):
        self.layer = layer
        self.takes = [layer.weight.requires_grad, layer.bias.requires_grad]
        self.width = layer.num_channels * sum(self.takes)

    @contextlib.contextmanager
    def attach(self, B, report):
        """As ``LayerHook.attach``."""
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


def exact_hook(layer):
    """The hook for a layer's exact gradients; None where no rule is known to hold."""
    kind = next((kind for kind in (*RULES, nn.GroupNorm) if type(layer).forward is kind.forward), None)
    if kind is None or layer._parameters.get("weight") is None or not layer._parameters.keys() <= {"weight", "bias"}:
        return None
    if kind is nn.Conv2d and (layer.padding_mode != "zeros" or isinstance(layer.padding, str)):
        return None
    if kind is nn.Embedding and (layer.padding_idx is not None or layer.scale_grad_by_freq):
        return None
    return GroupNormHook(layer) if kind is nn.GroupNorm else ExactHook(layer, RULES[kind])


def trainable(model):
    """The parameters θ in ``named_parameters`` order: the order of every flat gradient."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def own(layer):
    """A layer's parameters, those of layers within it left out."""
    return list(layer.parameters(recurse=False))


def single_or_wider(dtype):
    """The precision of sums: never below float32."""
    return torch.promote_types(dtype, torch.float32)


def add(found, key, gradients):
    """Add to what has been found for a layer or parameter so far."""
    found[key] = found[key] + gradients if key in found else gradients.to(single_or_wider(gradients.dtype))


@contextlib.contextmanager
def attached(model, hooks, B, report):
    """While it lasts θ is frozen, and every backward pass reports its layers' gradients.

    Args:
        hooks: {layer: hook}. B: examples in the pass. report: called with a layer and a function that
            returns its gradients (B, columns).
    """
    with contextlib.ExitStack() as stack:
        for layer, hook in hooks.items():
            stack.enter_context(hook.attach(B, partial(report, layer)))
        for q in trainable(model):
            q.requires_grad_(False)
            stack.callback(q.requires_grad_, True)
        yield


def backward(value):
    """Backpropagate, where any layer with a hook was called at all."""
    if value.requires_grad:
        value.backward()
