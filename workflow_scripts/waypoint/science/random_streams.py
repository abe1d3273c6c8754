"""Independent random streams, each derived from (experiment seed, purpose, item).

A stream depends on nothing else: not on batch size, shard, worker count or device. Numbers are always drawn on the CPU
and then moved, so that a GPU run uses the same noise as a CPU run.
"""

import hashlib
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import torch

Key: TypeAlias = str | int | np.integer[Any]  # one part of a key


def derive(*key: Key) -> int:
    """Derive a 63-bit seed from a key of strings and integers, equal on every machine and Python version."""
    for part in key:
        if not isinstance(part, (str, int, np.integer)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"stream keys are strings and integers, not {type(part).__name__}")
    text = "\x1f".join(f"{'s' if isinstance(part, str) else 'i'}{part}" for part in key)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_stream(*key: Key) -> "torch.Generator":
    """Return a CPU ``torch.Generator`` for this key."""
    import torch  # imported lazily: importing torch takes seconds

    return torch.Generator().manual_seed(derive(*key))


def numpy_stream(*key: Key) -> np.random.Generator:
    """Return a ``numpy.random.Generator`` for this key, for stages without torch."""
    return np.random.Generator(np.random.Philox(derive(*key)))
