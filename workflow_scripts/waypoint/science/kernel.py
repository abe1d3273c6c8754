"""The TRAK kernel K_m = Φ_mᵀΦ_m + λ_m I and the scores φ_iᵀ K_m⁻¹ g (Alg. 1 line 17), in float64.

For N ≥ d the d × d matrix is factored. For N < d the N × N form is: Φ(ΦᵀΦ + λI)⁻¹ = (ΦΦᵀ + λI)⁻¹Φ,
with the same λ. Φ is only ever seen in blocks of rows.
"""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from ..errors import WaypointError


def gram(blocks, n, d):
    """ΦᵀΦ (d × d) when n ≥ d, else ΦΦᵀ (n × n).

    Args:
        blocks: a function returning a fresh iterator of (start, rows) over Φ, rows float (b, d).
        n, d: shape of Φ.

    Returns:
        float64 matrix of size min(n, d).
    """
    if n >= d:
        out = np.zeros((d, d))
        for _, rows in blocks():
            rows = rows.astype(np.float64)
            out += rows.T @ rows
        return out
    out = np.zeros((n, n))
    for i, left in blocks():
        left = left.astype(np.float64)
        for j, right in blocks():
            if j <= i:
                product = left @ right.astype(np.float64).T
                out[i : i + len(left), j : j + len(right)] = product
                out[j : j + len(right), i : i + len(left)] = product.T
    return out


def factor(matrix, n, d, damping):
    """Lower Cholesky factor of the damped Gram matrix, and λ = damping × trace / min(n, d).

    Raises:
        WaypointError: damping 0 with n < d, or a matrix that is singular in float64.
    """
    if damping == 0 and n < d:
        raise WaypointError(
            f"kernel.damping: 0 (the paper's) needs at least as many training images as projection.dim; "
            f"here N = {n} < d = {d}, so ΦᵀΦ is singular. Set kernel.damping above 0 or lower projection.dim"
        )
    damped = matrix.copy()
    strength = damping * np.trace(matrix) / min(n, d)
    damped[np.diag_indices_from(damped)] += strength
    singular = WaypointError(
        f"kernel.damping: {damping} leaves the {len(matrix)} × {len(matrix)} kernel singular; raise kernel.damping"
    )
    try:
        lower = np.tril(cho_factor(damped, lower=True, check_finite=True)[0])
    except (LinAlgError, ValueError) as error:
        raise singular from error
    pivots = np.diag(lower) ** 2
    if pivots.min() <= len(matrix) * np.finfo(np.float64).eps * pivots.max():
        raise singular
    return lower, strength


def scores(blocks, n, d, lower, g):
    """τ(i) = φ_iᵀ K⁻¹ g for every row of Φ and every row of g.

    Args:
        blocks: as for ``gram``. lower: the factor of the form that n and d choose. g: (steps, d).

    Returns:
        float64 (steps, n).
    """
    g = g.astype(np.float64)
    out = np.empty((len(g), n))
    right = cho_solve((lower, True), g.T) if n >= d else g.T
    for start, rows in blocks():
        out[:, start : start + len(rows)] = (rows.astype(np.float64) @ right).T
    return out if n >= d else cho_solve((lower, True), out.T).T


class CheckpointMean:
    """Mean over checkpoints and its standard error, one checkpoint at a time (Welford)."""

    def __init__(self):
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, values):
        """Take in one checkpoint's scores."""
        self.count += 1
        delta = values - self.mean
        self.mean = self.mean + delta / self.count
        self.squares = self.squares + delta * (values - self.mean)

    def standard_error(self):
        """sd over checkpoints / √M, or None for fewer than two."""
        if self.count < 2:
            return None
        return np.sqrt(self.squares / (self.count - 1) / self.count)
