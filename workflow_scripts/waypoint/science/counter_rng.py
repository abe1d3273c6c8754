"""Counter-based random numbers: word i of a key is the i-th output of SplitMix64 (Steele, Lea and Flood, 2014).

Any word can be computed without the preceding ones, using only integer arithmetic and tables, so every machine, device
and thread count gives the same numbers, in blocks of any size.
"""

# SciPy and parts of torch are untyped
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from scipy.special import ndtri

from waypoint.science.types import Device


def _signed(constant: int) -> int:
    return int(np.uint64(constant).astype(np.int64))


GAMMA = _signed(0x9E3779B97F4A7C15)
ROUNDS = ((30, _signed(0xBF58476D1CE4E5B9)), (27, _signed(0x94D049BB133111EB)))


def words(key: int, start: int, count: int, device: Device = "cpu") -> torch.Tensor:
    """Words ``start`` to ``start + count - 1`` of a key: (count,) int64, with 64 random bits each."""
    z = torch.arange(start + 1, start + count + 1, device=device).mul_(GAMMA).add_(key)
    shifted = torch.empty_like(z)
    for shift, factor in ROUNDS:
        _xor_shifted(z, shift, shifted).mul_(factor)
    return _xor_shifted(z, 31, shifted)


def _xor_shifted(z: torch.Tensor, shift: int, scratch: torch.Tensor) -> torch.Tensor:
    """z ^= z >> shift, with the bits that a signed shift fills in cleared."""
    torch.bitwise_right_shift(z, shift, out=scratch).bitwise_and_((1 << (64 - shift)) - 1)
    return z.bitwise_xor_(scratch)


def normals(word: torch.Tensor) -> torch.Tensor:
    """Four standard normals from each word: (..., w) to (..., 4 w) float32.

    Sixteen bits choose one of 65,536 equally probable quantiles: mean 0, variance 1, and no tails beyond ±4.3 standard
    deviations.
    """
    index = word.view(torch.int16).int().add_(1 << 15)
    return _quantiles(word.device).index_select(0, index.flatten()).view(index.shape)


def signs(word: torch.Tensor) -> torch.Tensor:
    """Sixty-four signs ±1 from each word: (..., w) to (..., 64 w) float32."""
    byte = word.view(torch.uint8).int()
    return _byte_signs(word.device).index_select(0, byte.flatten()).view(*byte.shape[:-1], -1)


@cache
def _quantiles(device: torch.device) -> torch.Tensor:
    quantiles = ndtri((np.arange(1 << 16) + 0.5) / (1 << 16))
    return torch.from_numpy((quantiles / quantiles.std()).astype(np.float32)).to(device)


@cache
def _byte_signs(device: torch.device) -> torch.Tensor:
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    return torch.from_numpy(1 - 2 * bits.astype(np.float32)).to(device)


def matrix(
    numbers: Callable[[torch.Tensor], torch.Tensor],
    per_word: int,
    key: int,
    start: int,
    rows: int,
    columns: int,
    device: Device = "cpu",
) -> torch.Tensor:
    """Rows ``start`` to ``start + rows - 1`` of a random matrix with ``columns`` columns: (rows, columns) float32.

    Args:
        numbers: ``normals`` or ``signs``. per_word: how many numbers it makes from a word.
    """
    width = -(-columns // per_word)
    return numbers(words(key, start * width, rows * width, device).view(rows, width))[:, :columns]
