"""Exact per-example gradients of draw-averaged losses.

The K draws of one example are one batch of the model, so a gradient of the averaged loss costs one plain
training step of batch K. Another engine can stand in for ``per_example_gradients``: it takes the same
examples and returns the same rows.
"""

from dataclasses import dataclass

import torch


@dataclass
class Example:
    """One image with its draws.

    x0, epsilon: (K, C, H, W). t: (K,). label: (K,) or None. weight: (H, W) mask or None.
    """

    x0: torch.Tensor
    t: torch.Tensor
    epsilon: torch.Tensor
    label: torch.Tensor | None = None
    weight: torch.Tensor | None = None


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
    both = project([example(item, draws) for draws in HALVES for item in items])
    even, odd = both[: len(items)], both[len(items) :]
    return ((K + 1) // 2 * even + K // 2 * odd) / K, torch.stack([even, odd], 1)


def trainable(model):
    """The parameters θ in ``named_parameters`` order: the order of every flat gradient."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def per_example_gradients(model, loss, examples):
    """∇_θ of ``loss(example)`` for each example: (len(examples), p) on the model's device.

    Args:
        model: the torch module whose trainable parameters are θ.
        loss: maps an ``Example`` to a scalar tensor, the mean over its draws.
    """
    parameters = trainable(model)
    rows = torch.empty(len(examples), sum(q.numel() for q in parameters), device=parameters[0].device)
    for row, example in zip(rows, examples):
        start = 0
        for gradient in torch.autograd.grad(loss(example), parameters):
            row[start : start + gradient.numel()] = gradient.reshape(-1)
            start += gradient.numel()
    return rows


def rows_in_memory(p, device):
    """How many gradients of p parameters to hold at once: 2 GiB, or a quarter of a GPU's free memory; at most 256."""
    budget = torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else 2 << 30
    return max(1, min(256, budget // (4 * p)))
