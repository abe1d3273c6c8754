"""Training and target images with the draws over which their gradients are averaged."""

# torch is partly untyped
# pyright: reportUnknownMemberType=false

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from waypoint.science.processes.ddpm import repeated
from waypoint.science.types import Device

Item = TypeVar("Item")


@dataclass
class Example:
    """One image with its draws, or the joined rows of several images.

    x0, epsilon: (K, C, H, W). t: (K,). condition: classes (K,), embedded captions (K, token, width), or None.
    weight: (H, W) mask for all rows, or None. v: (K, C, H, W) pseudo-targets of Fisher rows, or None.
    """

    x0: torch.Tensor
    t: torch.Tensor
    epsilon: torch.Tensor
    condition: torch.Tensor | None = None
    weight: torch.Tensor | None = None
    v: torch.Tensor | None = None

    def draws(self, rows: slice | torch.Tensor) -> "Example":
        """Return the same image with some of its draws."""
        condition = None if self.condition is None else self.condition[rows]
        v = None if self.v is None else self.v[rows]
        return replace(self, x0=self.x0[rows], t=self.t[rows], epsilon=self.epsilon[rows], condition=condition, v=v)

    def to(self, device: Device) -> "Example":
        """Return the same rows on a device."""
        parts = {name: getattr(self, name) for name in ("x0", "t", "epsilon", "condition", "weight", "v")}
        return replace(self, **{name: part if part is None else part.to(device) for name, part in parts.items()})


def train_example(
    z: torch.Tensor, t: torch.Tensor, epsilon: torch.Tensor, condition: torch.Tensor | None = None, flip: bool = False
) -> Example:
    """Return a training image with the draws of its train loss L_i (Alg. 1 line 3).

    Args:
        z: (C, H, W). t: (K,). epsilon: (K, C, H, W). condition: the image's row (1, ...), or None.
        flip: whether to add the mirror image, with all draws too, for a model trained with flips.
    """
    x0 = z.expand(epsilon.shape)
    if flip:
        x0, t, epsilon = torch.cat([x0, x0.flip(-1)]), t.repeat(2), epsilon.repeat(2, 1, 1, 1)
    return Example(x0, t, epsilon, repeated(condition, len(t)))


def target_example(
    x0_hat: torch.Tensor,
    t: int,
    epsilon: torch.Tensor,
    condition: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
) -> Example:
    """Return the one-step estimate x̂0_t with the draws of ε in the output function f_t (Eq. 3).

    Args:
        x0_hat: (C, H, W). t: the step. epsilon: (k, C, H, W). condition: one row (1, ...), or None.
        weight: (H, W), a mask (§5.4), or None.
    """
    k = len(epsilon)
    steps = torch.full((k,), t, device=epsilon.device)
    return Example(x0_hat.expand(epsilon.shape), steps, epsilon, repeated(condition, k), weight)


def joined(examples: Sequence[Example]) -> Example:
    """Join the rows of several examples."""
    first = examples[0]
    parts: dict[str, torch.Tensor | None] = {
        name: torch.cat([getattr(e, name) for e in examples]) for name in ("x0", "t", "epsilon")
    }
    for name in ("condition", "v"):
        parts[name] = None if getattr(first, name) is None else torch.cat([getattr(e, name) for e in examples])
    return replace(first, **parts)


EVERY_DRAW = slice(None)
HALVES = (slice(0, None, 2), slice(1, None, 2))  # even and odd draws


def whole_and_halves(
    project: Callable[[list[Example]], torch.Tensor],
    example: Callable[[Item, slice], Example],
    items: Sequence[Item],
    K: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute projected gradients over each half of the K draws, and over all draws at no further cost.

    Args:
        project: maps a list of examples to their projected gradients (len, d).
        example: ``example(item, draws)``, where ``draws`` is a slice of the K draws.

    Returns:
        (len(items), d) over all draws, and (len(items), 2, d) over the even and over the odd ones.
    """
    even, odd = (project([example(item, draws) for item in items]) for draws in HALVES)
    return ((K + 1) // 2 * even + K // 2 * odd) / K, torch.stack([even, odd], 1)
