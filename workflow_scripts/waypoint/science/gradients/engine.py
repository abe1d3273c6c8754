"""Per-example gradients of draw-averaged losses, for many examples at once.

Hooks see every layer's input and the gradient of its output, in one forward and backward pass over the draws of many
examples; rules make each example's gradients of them, layer by layer. The model's parameters are frozen meanwhile, so
autograd forms no weight gradient of its own. Two kinds, one interface:

exact       a column for every parameter, in the order of ``named_parameters``
factorised  for every Linear and Conv2d its gradient compressed by random factors (``logra.py``)
"""

import warnings

import torch

from waypoint import kernels
from waypoint.errors import WaypointWarning
from waypoint.science.gradients.batching import rows_in_a_pass
from waypoint.science.gradients.checking import autograd_reference, covered_layers
from waypoint.science.gradients.examples import joined
from waypoint.science.gradients.hooks import add, attached, backward, exact_hook, own, single_or_wider


class PerExampleGradients:
    """∇_θ of ``loss`` averaged over the draws of each example, as rows: call it with (loss, examples).

    Which layers have a rule that holds is found out with the first examples: on two rows every rule is compared with
    autograd. Parameters of any other layer get their gradients from autograd, one example at a time, with a warning
    that names them.

    Args:
        model: the torch module whose trainable parameters are θ, in evaluation mode, rows independent of each other.
        autocast: bfloat16 where torch.autocast allows it, instead of the weights' precision.
    """

    def __init__(self, model, autocast=False):
        self.model, self.autocast = model, autocast
        weight = next(model.parameters())
        self.device, self.dtype = weight.device, single_or_wider(weight.dtype)
        self.columns = None

    def hook(self, name, layer):
        """The hook that reports a layer's columns: here its exact gradients."""
        return exact_hook(layer)

    def __call__(self, loss, examples):
        """Rows of gradients.

        Args:
            loss: maps an ``Example`` of R rows to (R,) losses.
            examples: all with equally many draws.

        Returns:
            (len(examples), columns) on the model's device: float32, float64 of weights in float64.
        """
        if self.columns is None:
            self._prepare(loss, examples)
        K, size = len(examples[0].t), (len(examples), sum(self.columns.values()))
        rows = torch.empty(size, dtype=self.dtype, device=self.device)
        together, draws = self._pass(K)
        for start in range(0, len(examples), together):
            some, found = examples[start : start + together], {}
            for k in range(0, K, draws):
                part = joined([example.draws(slice(k, k + draws)) for example in some])
                self._add(loss, part, len(some), K, found)
            parts = [found.get(key, rows.new_zeros(len(some), width)) for key, width in self.columns.items()]
            torch.cat(parts, 1, out=rows[start : start + together])
        return rows

    def _prepare(self, loss, examples):
        """Find the layers whose rule holds, give every layer its columns, and measure what one row keeps in memory."""
        rows = [example.draws(slice(0, 1)) for example in examples[:2]]
        if len(rows) == 1:
            rows.append(examples[0].draws(slice(-1, None)))
        truth, self.row_bytes = autograd_reference(self.model, loss, rows)
        owner = {q: layer for layer in covered_layers(self.model, loss, rows, truth) for q in own(layer)}
        columns, self.hooks, self.rest = {}, {}, []  # columns: {layer or parameter: how many}
        for name, q in self.model.named_parameters():
            layer = owner.get(q)
            if layer in self.hooks or not q.requires_grad:
                continue
            if layer is not None:
                self.hooks[layer] = self.hook(name.rpartition(".")[0], layer)
                columns[layer] = self.hooks[layer].width
                continue
            self.rest.append(q)
            columns[q] = q.numel()
            warnings.warn(
                f"{name}: no layer rule gives its per-example gradients; autograd does, one example at a time, "
                "which is slower",
                WaypointWarning,
                stacklevel=3,
            )
        self.columns = columns

    def _pass(self, K):
        """How many examples of K draws go through the model at once, and how many draws of each."""
        return rows_in_a_pass(K, self.row_bytes, self.device)

    def _add(self, loss, part, B, K, found):
        """Add the gradients of the mean over K draws to ``found``: {layer or parameter: (B, columns)}."""
        with attached(self.model, self.hooks, B, lambda layer, gradients: add(found, layer, gradients())):
            backward(self._mean(loss, part, K))
        if self.rest:
            each = []
            for rows in torch.arange(len(part.t)).view(B, -1):
                value = self._mean(loss, part.draws(rows), K)
                each.append(torch.autograd.grad(value, self.rest, allow_unused=True, materialize_grads=True))
            for q, gradients in zip(self.rest, zip(*each)):
                add(found, q, torch.stack([gradient.flatten() for gradient in gradients]))

    def _mean(self, loss, part, K):
        """The contribution of the rows of ``part`` to their examples' means over K draws, summed."""
        with kernels.fast_cpu(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            losses = loss(part)
            return losses.to(single_or_wider(losses.dtype)).sum() / K
