"""How many rows and gradients fit into memory at once."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn

from waypoint.science.gradients.hooks import trainable

Item = TypeVar("Item")


def rows_in_a_pass(K: int, row_bytes: int, device: torch.device) -> tuple[int, int]:
    """How many examples of K draws go through a model at once, and how many draws of each.

    Args:
        row_bytes: what autograd keeps of one row.
    """
    # CPU: 2560 rows hide what a pass costs however small, as far as 2 GiB go; one image may have what a laptop has
    near, most = min(1 << 31, 2560 * row_bytes), 1 << 32
    if device.type == "cuda":
        near = most = torch.cuda.mem_get_info(device)[0] // 3
    return max(1, near // row_bytes // K), max(1, min(K, most // row_bytes))


def rows_in_memory(p: int, device: torch.device) -> int:
    """How many gradients of p parameters to hold at once: 2 GiB, or a quarter of a GPU's free memory; at most 256."""
    budget = torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else 2 << 30
    return max(1, min(256, budget // (4 * p)))


def batches(items: Sequence[Item], model: nn.Module) -> list[Sequence[Item]]:
    """Parts of a sequence of examples, or of a range of their indices, whose gradients fit into memory together."""
    step = rows_in_memory(sum(q.numel() for q in trainable(model)), next(model.parameters()).device)
    return [items[start : start + step] for start in range(0, len(items), step)]
