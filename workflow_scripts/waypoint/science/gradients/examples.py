"""Training and target images with their draws, as gradients are taken of them."""

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
    """One image with its draws, or the rows of several.

    x0, epsilon: (K, C, H, W). t: (K,). condition: classes (K,), embedded captions (K, token, width), or None.
    weight: (H, W) mask or None, one for all rows. v: (K, C, H, W) pseudo-targets of Fisher rows, or None.
    """

    x0: torch.Tensor
    t: torch.Tensor
    epsilon: torch.Tensor
    condition: torch.Tensor | None = None
    weight: torch.Tensor | None = None
    v: torch.Tensor | None = None

    def draws(self, rows: slice | torch.Tensor) -> "Example":
        """The same image with some of its draws."""
        condition = None if self.condition is None else self.condition[rows]
        v = None if self.v is None else self.v[rows]
        return replace(self, x0=self.x0[rows], t=self.t[rows], epsilon=self.epsilon[rows], condition=condition, v=v)

    def to(self, device: Device) -> "Example":
        """The same rows on a device."""
        parts = {name: getattr(self, name) for name in ("x0", "t", "epsilon", "condition", "weight", "v")}
        return replace(self, **{name: part if part is None else part.to(device) for name, part in parts.items()})


def train_example(
    z: torch.Tensor, t: torch.Tensor, epsilon: torch.Tensor, condition: torch.Tensor | None = None, flip: bool = False
) -> Example:
    """A training image with the draws of its train loss L_i (Alg. 1 line 3).

    Args:
        z: (C, H, W). t: (K,). epsilon: (K, C, H, W). condition: one row (1, ...), the image's own, or None.
        flip: the image and its mirror image, both with all draws, for a model that was trained on flips.
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
    """The one-step estimate x̂0_t with the noises of the output function f_t (Eq. 3).

    Args:
        x0_hat: (C, H, W). t: the step, a number. epsilon: (k, C, H, W). condition: one row (1, ...), or None.
        weight: (H, W), a mask (§5.4), or None.
    """
    k = len(epsilon)
    steps = torch.full((k,), t, device=epsilon.device)
    return Example(x0_hat.expand(epsilon.shape), steps, epsilon, repeated(condition, k), weight)


def joined(examples: Sequence[Example]) -> Example:
    """The rows of several examples in one."""
    first = examples[0]
    parts: dict[str, torch.Tensor | None] = {
        name: torch.cat([getattr(e, name) for e in examples]) for name in ("x0", "t", "epsilon")
    }
    for name in ("condition", "v"):
        parts[name] = None if getattr(first, name) is None else torch.cat([getattr(e, name) for e in examples])
    return replace(first, **parts)


EVERY_DRAW = slice(None)


HALVES = (slice(0, None, 2), slice(1, None, 2))  # every other draw


def whole_and_halves(
    project: Callable[[list[Example]], torch.Tensor],
    example: Callable[[Item, slice], Example],
    items: Sequence[Item],
    K: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Projected gradients over all K draws, and over each half of them, at the cost of the halves alone.

    Args:
        project: maps a list of examples to their projected gradients (len, d).
        example: ``example(item, draws)``, draws being a slice of the K.

    Returns:
        (len(items), d), and (len(items), 2, d): over the even draws, and over the odd ones.
    """
    even, odd = (project([example(item, draws) for item in items]) for draws in HALVES)
    return ((K + 1) // 2 * even + K // 2 * odd) / K, torch.stack([even, odd], 1)
