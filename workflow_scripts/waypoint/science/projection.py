"""Random projections P of flat gradients, never stored whole.

They are scaled so that E[PPᵀ] = I: inner products are preserved in expectation for every d. Row i of P, for parameter
i, is determined by (seed, checkpoint, i) alone and recomputed whenever it is needed.
"""

import itertools
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from waypoint.errors import WaypointError
from waypoint.science import counter_rng
from waypoint.science.random_streams import derive
from waypoint.science.types import Device

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

    from waypoint.science.types import Projects


class Projection(ABC):
    """P (p × d) of one checkpoint (Alg. 1 line 6), the same for training and target gradients.

    Args:
        seed, checkpoint: key of P.
        d: ``projection.dim``.
    """

    def __init__(self, seed: int, checkpoint: str, d: int) -> None:
        self.key = derive(seed, "projection", checkpoint)
        self.d = d

    def project(self, gradients: "Tensor") -> "Tensor":
        """Return Pᵀg for each row g: (B, p) to (B, d), on the gradients' device."""
        out = gradients.new_zeros(len(gradients), self.d)
        rows = self.rows_per_block(gradients.device)
        for start in range(0, gradients.shape[1], rows):
            self.add_block(out, start, gradients[:, start : start + rows])
        return out

    @abstractmethod
    def rows_per_block(self, device: "torch.device") -> int:
        """Return the number of rows of P computed at once."""

    @abstractmethod
    def add_block(self, out: "Tensor", start: int, part: "Tensor") -> None:
        """Add the contribution of a block of parameters to Pᵀg, in place.

        Args:
            out: (B, d), on the device of ``part``. start: index of the block's first parameter.
            part: (B, rows), the gradients of the parameters from ``start`` on.
        """


class Gaussian(Projection):
    """Independent N(0, 1/d) entries, as in the paper."""

    numbers = staticmethod(counter_rng.normals)
    per_word = 4

    def rows_per_block(self, device: "torch.device") -> int:
        """Return rows for about a million entries, near the size of CPU caches, or more to keep a GPU busy."""
        return max(1, (1 << (24 if device.type == "cuda" else 20)) // self.d)

    def rows(self, start: int, rows: int, device: Device = "cpu") -> "Tensor":
        """Return rows ``start`` to ``start + rows - 1`` of √d P: (rows, d)."""
        return counter_rng.matrix(self.numbers, self.per_word, self.key, start, rows, self.d, device)

    def add_block(self, out: "Tensor", start: int, part: "Tensor") -> None:
        """Add the contribution of the parameters from ``start`` on to Pᵀg in ``out``."""
        rows = self.rows(start, part.shape[1], part.device).to(part.dtype)
        out.addmm_(part, rows, alpha=self.d**-0.5)


class Rademacher(Gaussian):
    """Independent entries ±1/√d."""

    numbers = staticmethod(counter_rng.signs)
    per_word = 64


class SJLT(Projection):
    """Sparse Johnson-Lindenstrauss transform: one entry ±1 per row, in a random column.

    This is the CountSketch of Charikar, Chen & Farach-Colton 2002, the sparsest case (s = 1) of the transforms of Kane
    & Nelson (arXiv 1012.1577).

    Inner products have the same variance as with ``Rademacher``, for O(1) instead of O(d) work per parameter.
    """

    def rows_per_block(self, device: "torch.device") -> int:
        """Return a number of rows whose words fit in the cache."""
        return 1 << 17

    def entries(self, start: int, rows: int, device: Device = "cpu") -> tuple["Tensor", "Tensor"]:
        """Return column (rows,) int64 and sign (rows,) of each row's entry."""
        word = counter_rng.words(self.key, start, rows, device)
        # the upper 32 bits, as a fraction of 2³², times d
        column = (word >> 32).bitwise_and_(0xFFFFFFFF).mul_(self.d) >> 32
        return column, word.bitwise_and_(1).mul_(2).sub_(1).float()

    def add_block(self, out: "Tensor", start: int, part: "Tensor") -> None:
        """Add the contribution of the parameters from ``start`` on to Pᵀg in ``out``."""
        column, sign = self.entries(start, part.shape[1], part.device)
        out.index_add_(1, column, part * sign)


UNPROJECTED_GB = 8  # limit for one checkpoint's features and Fisher rows without a projection


def require_room(images: int, rows: int, p: int) -> None:
    """Refuse unprojected gradients that would take too much space.

    Args:
        images: N train features. rows: number of Fisher rows. p: numbers in each of them.

    Raises:
        WaypointError: more than ``UNPROJECTED_GB``.
    """
    gigabytes = (images + rows) * p * 4 / 1e9
    if gigabytes > UNPROJECTED_GB:
        raise WaypointError(
            f"projection.kind: none would keep {gigabytes:.0f} GB for each checkpoint, {images} train features and "
            f"{rows} Fisher rows of {p:,} numbers; more than {UNPROJECTED_GB} GB are refused. Choose another kind"
        )


class Identity:
    """P = I: unprojected gradients, d = p.

    Args:
        d: p, the number of columns of a gradient.
    """

    def __init__(self, d: int) -> None:
        self.d = d

    def project(self, gradients: "Tensor") -> "Tensor":
        """Return the gradients (B, p) themselves."""
        return gradients

    def rows_per_block(self, device: "torch.device") -> int:
        """Return p: all parameters fit in one block."""
        return self.d

    def add_block(self, out: "Tensor", start: int, part: "Tensor") -> None:
        """Add the gradients of the parameters from ``start`` on to ``out``."""
        out[:, start : start + part.shape[1]] += part


class SideBySide:
    """Several maps of the same gradients with their columns side by side: bases with the same draws share a pass.

    Args:
        maps: objects with ``d`` and ``project``, such as a ``Projection``.
    """

    def __init__(self, maps: "Sequence[Projects]") -> None:
        self.maps, self.d = maps, sum(P.d for P in maps)

    def project(self, gradients: "Tensor") -> "Tensor":
        """Return the results of all maps for each row: (B, p) to (B, Σ d)."""
        import torch

        parts = [P.project(gradients) for P in self.maps]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def apart(self, projected: "Tensor") -> "list[Tensor]":
        """Split (…, Σ d) into the columns (…, d) of each map."""
        stops = list(itertools.accumulate(P.d for P in self.maps))
        return [projected[..., stop - P.d : stop] for P, stop in zip(self.maps, stops)]


PROJECTIONS = {"gaussian": Gaussian, "rademacher": Rademacher, "sjlt": SJLT}
