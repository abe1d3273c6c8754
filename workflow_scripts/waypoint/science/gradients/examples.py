"""Training and target images with their draws, as gradients are taken of them."""

from dataclasses import dataclass, replace

import torch


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


def whole_and_halves(project, example, items, K):
    """Projected gradients over all K draws, and over each half of them, at the cost of the halves alone.

    Args:
        project: maps a list of examples to their projected gradients (len, d).
        example: ``example(item, draws)``, draws being a slice of the K.

    Returns:
        (len(items), d), and (len(items), 2, d): over the even draws, and over the odd ones.
    """
    even, odd = (project([example(item, draws) for item in items]) for draws in HALVES)
    return ((K + 1) // 2 * even + K // 2 * odd) / K, torch.stack([even, odd], 1)
