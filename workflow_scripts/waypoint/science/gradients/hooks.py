"""Hooks on layers: each observes its layer in a forward and backward pass and reports per-example gradients.

Most hooks keep the layer's input x in the forward pass, receive the output gradient δ in the backward pass, and apply a
rule of ``layer_rules``. Shapes: R = B examples × K rows each; x (R, …); δ (R, …), as the layer's output; reported
gradients (B, columns).
"""

# torch is partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false
# layers are matched by their forward method, which a type checker cannot follow
# pyright: reportUnnecessaryComparison=false, reportArgumentType=false

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, MutableMapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol, TypeAlias

import torch
from torch import nn

from waypoint.science.gradients.layer_rules import RULES, Rule

# called for every call of a layer with a function that returns its gradients (B, columns)
Report: TypeAlias = Callable[[Callable[[], torch.Tensor]], None]
Source: TypeAlias = nn.Module | nn.Parameter  # of columns: a layer with a rule, or a parameter without one


class Hook(Protocol):
    """The part of a hook's interface that its users call."""

    width: int

    def attach(self, B: int, report: Report) -> AbstractContextManager[None]:
        """As ``LayerHook.attach``."""
        ...


class LayerHook(ABC):
    """A hook on a layer whose first argument is x; it keeps the part of x that the gradients need.

    Subclasses set ``width``, the number of columns that they report.
    """

    width: int

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer

    @contextlib.contextmanager
    def attach(self, B: int, report: Report) -> Generator[None, None, None]:
        """Within this context, every call of the layer passes ``report`` a function that returns (B, width)."""

        def watch(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor | None:
            if not inputs:  # called by keyword: not supported
                return None
            with torch.no_grad():
                saved = self.keep(inputs[0].detach(), output)
            if not output.requires_grad:  # nothing upstream is differentiated: the graph begins here
                output = output.requires_grad_().clone()  # later layers may change a copy in place
            output.register_hook(lambda delta: report(lambda: self.gradients(saved, delta, B)))
            return output

        with self.layer.register_forward_hook(watch):
            yield

    @abstractmethod
    def keep(self, x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Return the part of the layer's input x, or of its output, that the gradients need."""

    @abstractmethod
    def gradients(self, saved: torch.Tensor, delta: torch.Tensor, B: int) -> torch.Tensor:
        """Return gradients (B, width) from the result of ``keep`` and the output gradient δ."""


class ExactHook(LayerHook):
    """Columns for all trainable parameters of a layer, computed by its rule."""

    def __init__(self, layer: nn.Module, rule: Rule) -> None:
        super().__init__(layer)
        self.rule = rule
        parameters = (getattr(layer, name, None) for name in ("weight", "bias"))
        self.learned = [q is not None and q.requires_grad for q in parameters]
        self.width = sum(q.numel() for q in layer.parameters(recurse=False) if q.requires_grad)

    def keep(self, x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Return the input in the precision of the layer's computation."""
        return x.to(output.dtype) if x.is_floating_point() else x

    def gradients(self, saved: torch.Tensor, delta: torch.Tensor, B: int) -> torch.Tensor:
        """Return gradients (B, width)."""
        parts = self.rule(self.layer, saved, delta, B)
        return torch.cat([part for part, learned in zip(parts, self.learned) if learned and part is not None], 1)


class GroupNormHook:
    """Gradients of GroupNorm's weight and bias.

    During the pass each row gets its own copy of them: R rows of C channels in G groups become one row of RC channels
    in RG groups. The kernel of the input gradient then also yields Σ δ x̂ and Σ δ of each row at no extra cost.
    """

    def __init__(self, layer: nn.GroupNorm) -> None:
        self.layer = layer
        self.learned = [layer.weight.requires_grad, layer.bias.requires_grad]
        self.width = layer.num_channels * sum(self.learned)

    @contextlib.contextmanager
    def attach(self, B: int, report: Report) -> Generator[None, None, None]:
        """As ``LayerHook.attach``."""
        layer = self.layer

        def forward(input: torch.Tensor) -> torch.Tensor:
            R, C = input.shape[:2]
            rows = torch.cat([layer.weight.detach().expand(R, C), layer.bias.detach().expand(R, C)]).requires_grad_()
            rows.register_hook(lambda delta: report(lambda: self.gradients(delta, B)))
            weight, bias = rows.view(2, -1)
            one_row = input.reshape(1, R * C, *input.shape[2:])
            return torch.group_norm(one_row, R * layer.num_groups, weight, bias, layer.eps).view(input.shape)

        layer.forward = forward  # an instance attribute hides the method of the class
        try:
            yield
        finally:
            del layer.forward

    def gradients(self, by_row: torch.Tensor, B: int) -> torch.Tensor:
        """Sum gradients (2, rows, channels) of weight and bias by example: (B, width)."""
        by_row = by_row.view(2, B, -1, self.layer.num_channels).sum(2)
        return torch.cat([part for part, learned in zip(by_row, self.learned) if learned], 1)


def exact_hook(layer: nn.Module) -> Hook | None:
    """Return the hook for a layer's exact gradients; None if no rule is known to hold."""
    kind = next((kind for kind in (*RULES, nn.GroupNorm) if type(layer).forward is kind.forward), None)
    parameters = layer._parameters  # including those that are None  # pyright: ignore[reportPrivateUsage]
    if kind is None or parameters.get("weight") is None or not parameters.keys() <= {"weight", "bias"}:
        return None
    if kind is nn.Conv2d and (layer.padding_mode != "zeros" or isinstance(layer.padding, str)):
        return None
    if kind is nn.Embedding and (layer.padding_idx is not None or layer.scale_grad_by_freq):
        return None
    return GroupNormHook(layer) if kind is nn.GroupNorm else ExactHook(layer, RULES[kind])


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters θ in ``named_parameters`` order, the order of every flat gradient."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def own_parameters(layer: nn.Module) -> list[nn.Parameter]:
    """Return a layer's parameters without those of layers within it."""
    return list(layer.parameters(recurse=False))


def single_or_wider(dtype: torch.dtype) -> torch.dtype:
    """Return the precision for sums: at least float32."""
    return torch.promote_types(dtype, torch.float32)


def add(totals: MutableMapping[Source, torch.Tensor], key: Source, gradients: torch.Tensor) -> None:
    """Add gradients to the sum of a layer or parameter, or start it."""
    totals[key] = totals[key] + gradients if key in totals else gradients.to(single_or_wider(gradients.dtype))


@contextlib.contextmanager
def attached(
    model: nn.Module,
    hooks: Mapping[nn.Module, Hook],
    B: int,
    report: Callable[[nn.Module, Callable[[], torch.Tensor]], None],
) -> Generator[None, None, None]:
    """Within this context θ is frozen, and every backward pass reports the gradients of its layers.

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


def backward(value: torch.Tensor) -> None:
    """Backpropagate, unless no layer with a hook was called."""
    if value.requires_grad:
        value.backward()
