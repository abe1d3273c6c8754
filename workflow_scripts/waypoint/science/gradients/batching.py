"""The number of rows and of gradients that fit in memory at once."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn

from waypoint.science.gradients.hooks import trainable

Item = TypeVar("Item")


def rows_in_a_pass(K: int, row_bytes: int, device: torch.device) -> tuple[int, int]:
    """Return how many examples of K draws a pass takes, and how many draws of each.

    Args:
        row_bytes: memory that autograd needs for one row.
    """
    # CPU: 2560 rows amortise the fixed cost of a pass, within 2 GiB; a single image may use 4 GiB, which laptops have
    target, limit = min(1 << 31, 2560 * row_bytes), 1 << 32
    if device.type == "cuda":
        target = limit = torch.cuda.mem_get_info(device)[0] // 3
    return max(1, target // row_bytes // K), max(1, min(K, limit // row_bytes))


def rows_in_memory(p: int, device: torch.device) -> int:
    """Return how many gradients of p parameters fit in 2 GiB or a quarter of a GPU's free memory, at most 256."""
    budget = torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else 2 << 30
    return max(1, min(256, budget // (4 * p)))


def batches(items: Sequence[Item], model: nn.Module) -> list[Sequence[Item]]:
    """Split a sequence of examples, or a range of indices, into parts whose gradients fit in memory together."""
    step = rows_in_memory(sum(q.numel() for q in trainable(model)), next(model.parameters()).device)
    return [items[start : start + step] for start in range(0, len(items), step)]
