"""Random projections P of flat gradients, never held whole.

Scaled so that E[PPᵀ] = I: inner products are kept in expectation whatever d is.
"""

import torch

from .streams import torch_stream


class GaussianProjection:
    """P (p × d) with independent N(0, 1/d) entries (Alg. 1 line 6, scaled), one per checkpoint.

    P is made of blocks of rows, each from its own stream (seed, checkpoint, block), so every process and
    device builds the same P and no more than one block is in memory.

    Args:
        seed, checkpoint: key of P; train and target side share it.
        p: number of parameters. d: ``projection.dim``.
    """

    ROWS = 8192  # part of P's definition: another value is another P

    def __init__(self, seed, checkpoint, p, d):
        self.key = (seed, "projection", checkpoint)
        self.p, self.d = p, d

    def block(self, index, rows):
        """Rows of block ``index``: (rows, d), before scaling."""
        return torch.randn(rows, self.d, generator=torch_stream(*self.key, index))

    def project(self, gradients):
        """Pᵀg for each row g: (B, p) to (B, d), on the gradients' device."""
        out = torch.zeros(len(gradients), self.d, device=gradients.device)
        for index, start in enumerate(range(0, self.p, self.ROWS)):
            part = gradients[:, start : start + self.ROWS]
            out += part @ self.block(index, part.shape[1]).to(part.device)
        return out / self.d**0.5


PROJECTIONS = {"gaussian": GaussianProjection}
