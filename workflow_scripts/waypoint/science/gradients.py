"""Per-example gradients of draw-averaged losses, for many examples at once.

Hooks see every layer's input and the gradient of its output, in one forward and backward pass over the draws of many
examples; rules make each example's gradients of them, layer by layer. The model's parameters are frozen meanwhile, so
autograd forms no weight gradient of its own. Two kinds, one interface:

exact       a column for every parameter, in the order of ``named_parameters``
factorised  for every Linear and Conv2d its gradient compressed by random factors (``factors.py``)
"""

import contextlib
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from ..errors import WaypointWarning
from .attention import narrow_heads
from .convolution import fewer_products
from .factors import Factored
from .layers import exact
from .streams import derive


@dataclass
class Example:
    """One image with its draws, or the rows of several.

    x0, epsilon: (K, C, H, W). t: (K,). condition: classes (K,), embedded captions (K, token, width), or None.
    weight: (H, W) mask or None, one for all rows.
    """

    x0: torch.Tensor
    t: torch.Tensor
    epsilon: torch.Tensor
    condition: torch.Tensor | None = None
    weight: torch.Tensor | None = None

    def draws(self, rows):
        """The same image with some of its draws."""
        condition = None if self.condition is None else self.condition[rows]
        return replace(self, x0=self.x0[rows], t=self.t[rows], epsilon=self.epsilon[rows], condition=condition)


def joined(examples):
    """The rows of several examples in one."""
    first = examples[0]
    parts = {name: torch.cat([getattr(e, name) for e in examples]) for name in ("x0", "t", "epsilon")}
    condition = None if first.condition is None else torch.cat([e.condition for e in examples])
    return replace(first, **parts, condition=condition)


EVERY_DRAW = slice(None)
HALVES = (slice(0, None, 2), slice(1, None, 2))  # every other draw


def with_halves(project, example, items, K):
    """Projected gradients over all K draws, and over each half of them, at the cost of the halves alone.

    Args:
        project: maps a list of examples to their projected gradients (len, d).
        example: ``example(item, draws)``, draws being a slice of the K.

    Returns:
        (len(items), d), and (len(items), 2, d): over the even draws, and over the odd ones.
    """
    even, odd = (project([example(item, draws) for item in items]) for draws in HALVES)
    return ((K + 1) // 2 * even + K // 2 * odd) / K, torch.stack([even, odd], 1)


def trainable(model):
    """The parameters θ in ``named_parameters`` order: the order of every flat gradient."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


class Engine:
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

    def observer(self, name, layer):
        """What forms a layer's columns: here its exact gradients."""
        return exact(layer)

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
        columns, self.observers, self.rest = {}, {}, []  # columns: {layer or parameter: how many}
        for name, q in self.model.named_parameters():
            layer = owner.get(q)
            if layer in self.observers or not q.requires_grad:
                continue
            if layer is not None:
                self.observers[layer] = self.observer(name.rpartition(".")[0], layer)
                columns[layer] = self.observers[layer].width
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
        with observed(self.model, self.observers, B, lambda layer, gradients: add(found, layer, gradients())):
            backward(self._mean(loss, part, K))
        if self.rest:
            each = []
            for rows in torch.arange(len(part.t)).view(B, -1):
                value = self._mean(loss, part.draws(rows), K)
                each.append(torch.autograd.grad(value, self.rest, allow_unused=True, materialize_grads=True))
            for q, gradients in zip(self.rest, zip(*each)):
                add(found, q, torch.stack([gradient.flatten() for gradient in gradients]))

    def _mean(self, loss, part, K):
        """What the rows of ``part`` contribute to their examples' means over K draws, summed."""
        with narrow_heads(), fewer_products(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            losses = loss(part)
            return losses.to(single_or_wider(losses.dtype)).sum() / K


class Factorised(Engine):
    """Rows of compressed gradients: about rank² columns for every Linear and Conv2d, its own for any other parameter.

    Args:
        seed, checkpoint: key of the random factors; train and target side share it.
        rank: as ``Factored``'s.
    """

    def __init__(self, model, seed, checkpoint, rank, autocast=False):
        super().__init__(model, autocast)
        self.key, self.rank = (seed, "factors", checkpoint), rank

    def observer(self, name, layer):
        """Random factors for matrices; exact gradients of vectors, and of layers too small or too odd to compress."""
        matrix = isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
        whole = all(q.requires_grad for q in own(layer))
        if not (matrix and whole and layer.weight.numel() > self.rank**2):
            return exact(layer)
        return Factored(layer, self.rank, [derive(*self.key, name, side) for side in ("in", "out")])


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
def observed(model, observers, B, report):
    """While it lasts θ is frozen and every backward pass reports what its layers' gradients are.

    Args:
        observers: {layer: observer}. B: examples in the pass. report: called with a layer and a function that
            returns its gradients (B, columns).
    """
    with contextlib.ExitStack() as stack:
        for layer, observer in observers.items():
            stack.enter_context(observer.watching(B, partial(report, layer)))
        for q in trainable(model):
            q.requires_grad_(False)
            stack.callback(q.requires_grad_, True)
        yield


def backward(value):
    """Backpropagate, where any layer that is observed was called at all."""
    if value.requires_grad:
        value.backward()


def autograd_reference(model, loss, rows):
    """Autograd's gradients {parameter: one tensor a row}, and the bytes that the graph of one row keeps."""
    parameters, found = trainable(model), []
    for row in rows:
        value, kept = graph_bytes(model, lambda row=row: loss(row).sum())
        found.append(torch.autograd.grad(value, parameters, allow_unused=True))
    return dict(zip(parameters, zip(*found))), kept


def graph_bytes(model, compute):
    """What ``compute()`` returns, and the bytes that autograd keeps to differentiate it, the weights left out."""
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
    observers = {
        layer: observer
        for layer in model.modules()
        if any(q.requires_grad for q in own(layer))
        and all(owners[q] == 1 for q in own(layer))
        and (observer := exact(layer))
    }
    found, failed = {}, set()

    def report(layer, gradients):
        try:
            add(found, layer, gradients())
        except (RuntimeError, ValueError, IndexError):  # shapes that the rule does not know
            failed.add(layer)

    with observed(model, observers, len(rows), report):
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

    return [layer for layer in observers if agrees(layer)]


def rows_in_a_pass(K, row_bytes, device):
    """How many examples of K draws go through a model at once, and how many draws of each.

    Args:
        row_bytes: what autograd keeps of one row.
    """
    # CPU: 2560 rows hide what a pass costs however small, as far as 2 GiB go; one image may have what a laptop has
    near, most = min(1 << 31, 2560 * row_bytes), 1 << 32
    if device.type == "cuda":
        near = most = torch.cuda.mem_get_info(device)[0] // 3
    return max(1, near // row_bytes // K), max(1, min(K, most // row_bytes))


def rows_in_memory(p, device):
    """How many gradients of p parameters to hold at once: 2 GiB, or a quarter of a GPU's free memory; at most 256."""
    budget = torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else 2 << 30
    return max(1, min(256, budget // (4 * p)))
