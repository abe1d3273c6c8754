"""Check which layer rules hold for a model, by comparing each with autograd on two rows."""

# torch is partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from waypoint.science.gradients.examples import Example, joined
from waypoint.science.gradients.hooks import Source, add, attached, backward, exact_hook, own_parameters, trainable
from waypoint.science.types import Loss


def autograd_reference(
    model: nn.Module, loss: Loss, rows: Sequence[Example]
) -> tuple[dict[nn.Parameter, tuple[torch.Tensor | None, ...]], int]:
    """Return autograd's gradients {parameter: one tensor per row}, and the bytes that the graph of one row keeps."""
    parameters, row_bytes = trainable(model), 0
    by_row: list[tuple[torch.Tensor | None, ...]] = []
    for row in rows:
        value, row_bytes = graph_bytes(model, lambda row=row: loss(row).sum())
        by_row.append(torch.autograd.grad(value, parameters, allow_unused=True))
    return dict(zip(parameters, zip(*by_row))), row_bytes


def graph_bytes(model: nn.Module, compute: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, int]:
    """Return the result of ``compute()``, and the bytes that autograd keeps to differentiate it, excluding weights."""
    weights = {q.untyped_storage().data_ptr() for q in model.parameters()}
    storage_bytes: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storage_bytes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        value = compute()
    return value, max(1, sum(storage_bytes.values()))


def covered_layers(
    model: nn.Module,
    loss: Loss,
    rows: Sequence[Example],
    truth: Mapping[nn.Parameter, Sequence[torch.Tensor | None]],
    tolerance: float = 1e-3,
) -> list[nn.Module]:
    """Return the layers whose rule agrees with autograd on rows that go through the model together.

    The comparison fails for a layer that shares a parameter with another, mixes rows, is used without being called, or
    computes something other than its class does.
    """
    owners = Counter(q for layer in model.modules() for q in own_parameters(layer))
    hooks = {
        layer: hook
        for layer in model.modules()
        if any(q.requires_grad for q in own_parameters(layer))
        and all(owners[q] == 1 for q in own_parameters(layer))
        and (hook := exact_hook(layer))
    }
    sums: dict[Source, torch.Tensor] = {}
    failed: set[nn.Module] = set()

    def report(layer: nn.Module, gradients: Callable[[], torch.Tensor]) -> None:
        try:
            add(sums, layer, gradients())
        except (RuntimeError, ValueError, IndexError):  # shapes that the rule does not support
            failed.add(layer)

    with attached(model, hooks, len(rows), report):
        backward(loss(joined(rows)).sum())
    # a gradient that is zero up to rounding (as of a key's bias, which softmax ignores) has no relative precision
    largest = [gradient.abs().max() for gradients in truth.values() for gradient in gradients if gradient is not None]
    rounding = 1e-5 * max(largest, default=0)

    def agrees(layer: nn.Module) -> bool:
        trained = [q for q in own_parameters(layer) if q.requires_grad]
        if layer in failed:
            return False
        if layer not in sums:  # never differentiated: correct only if autograd finds no gradient either
            return all(gradient is None for q in trained for gradient in truth[q])
        for r, row in enumerate(sums[layer]):
            gradients = [(q, truth[q][r]) for q in trained]
            expected = torch.cat([(torch.zeros_like(q) if g is None else g).flatten() for q, g in gradients])
            if (row - expected).abs().max() > tolerance * expected.abs().max() + rounding:
                return False
        return True

    return [layer for layer in hooks if agrees(layer)]
