"""Which layer rules hold for a model: every rule is compared with autograd on two rows."""

from collections import Counter

import torch

from waypoint.science.gradients.examples import joined
from waypoint.science.gradients.hooks import add, attached, backward, exact_hook, own, trainable


def autograd_reference(model, loss, rows):
    """Autograd's gradients {parameter: one tensor a row}, and the bytes that the graph of one row keeps."""
    parameters, found = trainable(model), []
    for row in rows:
        value, kept = graph_bytes(model, lambda row=row: loss(row).sum())
        found.append(torch.autograd.grad(value, parameters, allow_unused=True))
    return dict(zip(parameters, zip(*found))), kept


def graph_bytes(model, compute):
    """The result of ``compute()``, and the bytes that autograd keeps to differentiate it, without the weights."""
    weights = {q.untyped_storage().data_ptr() for q in model.parameters()}
    kept = {}

    def count(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        value = compute()
    return value, max(1, sum(kept.values()))


def covered_layers(model, loss, rows, truth, tolerance=1e-3):
    """The layers whose rule gives what autograd gives on two rows that go through the model together.

    A layer that shares a parameter with another, mixes the rows, is used without being called, or computes something
    else than its class fails the comparison.
    """
    owners = Counter(q for layer in model.modules() for q in own(layer))
    hooks = {
        layer: hook
        for layer in model.modules()
        if any(q.requires_grad for q in own(layer))
        and all(owners[q] == 1 for q in own(layer))
        and (hook := exact_hook(layer))
    }
    found, failed = {}, set()

    def report(layer, gradients):
        try:
            add(found, layer, gradients())
        except (RuntimeError, ValueError, IndexError):  # shapes that the rule does not know
            failed.add(layer)

    with attached(model, hooks, len(rows), report):
        backward(loss(joined(rows)).sum())
    # a gradient that is zero but for rounding (of a key's bias, which softmax ignores) has no relative precision
    largest = [gradient.abs().max() for each in truth.values() for gradient in each if gradient is not None]
    rounding = 1e-5 * max(largest, default=0)

    def agrees(layer):
        learned = [q for q in own(layer) if q.requires_grad]
        if layer in failed:
            return False
        if layer not in found:  # never differentiated: right only where autograd says so too
            return all(gradient is None for q in learned for gradient in truth[q])
        for r, row in enumerate(found[layer]):
            expected = [(torch.zeros_like(q) if truth[q][r] is None else truth[q][r]).flatten() for q in learned]
            expected = torch.cat(expected)
            if (row - expected).abs().max() > tolerance * expected.abs().max() + rounding:
                return False
        return True

    return [layer for layer in hooks if agrees(layer)]
