"""Per-example gradients of draw-averaged losses, for many examples at once.

In one forward and backward pass over the draws of many examples, hooks see every layer's input and output gradient, and
rules turn them into per-example gradients layer by layer. The parameters are frozen meanwhile, so autograd forms no
weight gradients of its own. Two kinds share one interface:

exact       a column for every parameter, in the order of ``named_parameters``
factorised  the gradient of every Linear and Conv2d compressed by random factors (``logra.py``)
"""

# torch is partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import warnings
from collections.abc import Sequence

import torch
from torch import nn

from waypoint import kernels
from waypoint.errors import WaypointWarning
from waypoint.science.gradients.batching import rows_in_a_pass
from waypoint.science.gradients.checking import autograd_reference, covered_layers
from waypoint.science.gradients.examples import Example, joined
from waypoint.science.gradients.hooks import (
    Hook,
    Source,
    add,
    attached,
    backward,
    exact_hook,
    own_parameters,
    single_or_wider,
)
from waypoint.science.types import Loss


class PerExampleGradients:
    """∇_θ of a loss averaged over the draws of each example, one row per example: call it with (loss, examples).

    The first examples determine which layer rules hold: every rule is compared with autograd on two rows. Parameters of
    other layers get their gradients from autograd, one example at a time, with a warning that names them.

    Args:
        model: the torch module whose trainable parameters are θ, in evaluation mode; rows must be independent.
        autocast: use bfloat16 where torch.autocast allows it, instead of the weights' precision.
    """

    def __init__(self, model: nn.Module, autocast: bool = False) -> None:
        self.model, self.autocast = model, autocast
        weight = next(model.parameters())
        self.device, self.dtype = weight.device, single_or_wider(weight.dtype)
        self.columns: dict[Source, int] | None = None
        self.hooks: dict[nn.Module, Hook] = {}
        self.rest: list[nn.Parameter] = []  # parameters of layers without a rule

    def hook(self, name: str, layer: nn.Module) -> Hook | None:
        """Return the hook that reports a layer's columns; here that of its exact gradients."""
        return exact_hook(layer)

    def __call__(self, loss: Loss, examples: Sequence[Example]) -> torch.Tensor:
        """Compute rows of gradients.

        Args:
            loss: maps an ``Example`` of R rows to (R,) losses.
            examples: all with the same number of draws.

        Returns:
            (len(examples), columns) on the model's device: float32, or float64 for float64 weights.
        """
        if self.columns is None:
            self.columns = self._prepare(loss, examples)
        K, size = len(examples[0].t), (len(examples), sum(self.columns.values()))
        rows = torch.empty(size, dtype=self.dtype, device=self.device)
        batch_size, draws = self._pass(K)
        for start in range(0, len(examples), batch_size):
            batch = examples[start : start + batch_size]
            sums: dict[Source, torch.Tensor] = {}
            for k in range(0, K, draws):
                part = joined([example.draws(slice(k, k + draws)) for example in batch])
                self._add(loss, part, len(batch), K, sums)
            parts = [sums.get(key, rows.new_zeros(len(batch), width)) for key, width in self.columns.items()]
            torch.cat(parts, 1, out=rows[start : start + batch_size])
        return rows

    def _prepare(self, loss: Loss, examples: Sequence[Example]) -> dict[Source, int]:
        """Find the layers whose rule holds, measure the memory of one row, and return the columns of every source."""
        rows = [example.draws(slice(0, 1)) for example in examples[:2]]
        if len(rows) == 1:
            rows.append(examples[0].draws(slice(-1, None)))
        truth, self.row_bytes = autograd_reference(self.model, loss, rows)
        owner = {q: layer for layer in covered_layers(self.model, loss, rows, truth) for q in own_parameters(layer)}
        columns: dict[Source, int] = {}
        self.hooks, self.rest = {}, []
        for name, q in self.model.named_parameters():
            layer = owner.get(q)
            if layer in self.hooks or not q.requires_grad:
                continue
            hook = None if layer is None else self.hook(name.rpartition(".")[0], layer)
            if layer is not None and hook is not None:
                self.hooks[layer], columns[layer] = hook, hook.width
                continue
            self.rest.append(q)
            columns[q] = q.numel()
            warnings.warn(
                f"{name}: no layer rule gives its per-example gradients; autograd does, one example at a time, "
                "which is slower",
                WaypointWarning,
                stacklevel=3,
            )
        return columns

    def _pass(self, K: int) -> tuple[int, int]:
        """Return how many examples of K draws a pass takes, and how many draws of each."""
        return rows_in_a_pass(K, self.row_bytes, self.device)

    def _add(self, loss: Loss, part: Example, B: int, K: int, totals: dict[Source, torch.Tensor]) -> None:
        """Add the gradients of the mean over K draws to ``totals``: {layer or parameter: (B, columns)}."""
        with attached(self.model, self.hooks, B, lambda layer, gradients: add(totals, layer, gradients())):
            backward(self._mean(loss, part, K))
        if self.rest:
            by_example: list[tuple[torch.Tensor, ...]] = []
            for rows in torch.arange(len(part.t)).view(B, -1):
                value = self._mean(loss, part.draws(rows), K)
                by_example.append(torch.autograd.grad(value, self.rest, allow_unused=True, materialize_grads=True))
            for q, gradients in zip(self.rest, zip(*by_example)):
                add(totals, q, torch.stack([gradient.flatten() for gradient in gradients]))

    def _mean(self, loss: Loss, part: Example, K: int) -> torch.Tensor:
        """Return the summed contribution of the rows of ``part`` to their examples' means over K draws."""
        with kernels.fast_cpu(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            losses = loss(part)
            return losses.to(single_or_wider(losses.dtype)).sum() / K
