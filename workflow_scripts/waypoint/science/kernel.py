"""The TRAK kernel K_m = Φ_mᵀΦ_m + λ_m I and the scores φ_iᵀ K_m⁻¹ g (Alg. 1 line 17), in float64.

For N ≥ d the d × d matrix is factored; for N < d the N × N form is: Φ(ΦᵀΦ + λI)⁻¹ = (ΦΦᵀ + λI)⁻¹Φ,
with the same λ. Φ is read only in blocks of rows.
"""

# SciPy is untyped
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, solve_triangular
from scipy.linalg.blas import dgemm, dsyrk  # pyright: ignore[reportAttributeAccessIssue]

from waypoint.errors import WaypointError
from waypoint.kernels import tall_skinny_matmul
from waypoint.science.types import Doubles, Numbers

Block: TypeAlias = tuple[int, Numbers]  # the index of the first row, and the rows
# a function returning a fresh iterator over blocks of rows, or, given a function ``each`` of rows, over its results
Blocks: TypeAlias = Callable[..., Iterator[Block]]


def gram(blocks: Blocks, n: int, d: int) -> Doubles:
    """Return ΦᵀΦ (d × d) if n ≥ d, else ΦΦᵀ (n × n).

    Args:
        blocks: a function returning a fresh iterator of (start, rows) over Φ, rows float (b, d).
        n, d: shape of Φ.

    Returns:
        float64 matrix of size min(n, d).
    """
    if n < d:  # Φ is smaller than the d × d matrix
        phi = np.concatenate([rows.astype(np.float64) for _, rows in blocks()])
        return phi @ phi.T
    out = np.zeros((d, d), order="F")
    for _, rows in blocks():
        # add half of a symmetric product in place
        out = dsyrk(1, rows.astype(np.float64).T, beta=1, c=out, lower=1, overwrite_c=1)
    return np.tril(out) + np.tril(out, -1).T


def factor(matrix: Doubles, n: int, d: int, damping: float) -> tuple[Doubles, float]:
    """Return the lower Cholesky factor L of the damped Gram matrix, and λ = damping × trace / min(n, d).

    Raises:
        WaypointError: damping is 0 with n < d, or the matrix is singular in float64.
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
        L = np.tril(cho_factor(damped, lower=True, check_finite=True)[0])
    except (LinAlgError, ValueError) as error:
        raise singular from error
    pivots = np.diag(L) ** 2
    if pivots.min() <= len(matrix) * np.finfo(np.float64).eps * pivots.max():
        raise singular
    return L, strength


def scores(blocks: Blocks, n: int, d: int, lower: Blocks, g: Numbers) -> Iterator[Block]:
    """Return τ(i) = φ_iᵀ K⁻¹ g for every row of Φ and every row of g, block by block.

    K⁻¹g is solved in float64 at the call, so that no factor is open while Φ is read; its product with Φ has Φ's
    precision. Memory does not grow with n, unless n < d.

    Args:
        blocks: as for ``gram``; given a function ``each`` of rows (b, d), it iterates over (start, result (b, ...)).
        lower: blocks of rows of L, the factor of the form that n and d determine. g: (steps, d).

    Returns:
        an iterator of (start, scores (steps, b)), one item per block of rows.
    """
    g = g.astype(np.float64)
    if n >= d:
        solved = solve(lower, g.T)
        right = {kind: np.asfortranarray(solved, kind) for kind in ("float32", "float64")}
        products = blocks(each=lambda rows: tall_skinny_matmul(rows, right[rows.dtype.name]))
        return ((start, product.T) for start, product in products)
    products = dict(blocks(each=lambda rows: rows.astype(np.float64) @ g.T))
    tau = solve(lower, np.concatenate(list(products.values()))).T
    return ((start, tau[:, start : start + len(product)]) for start, product in products.items())


def solve(lower: Blocks, right: Numbers) -> Doubles:
    """Return (LLᵀ)⁻¹ ``right`` for (n, steps) by forward and back substitution, reading L block by block.

    Args:
        lower: a function returning a fresh iterator of (start, rows) over L.
    """
    x, blocks = np.array(right, order="F"), list(lower())
    for start, rows in blocks:
        stop = start + len(rows)
        if start:
            x[start:stop] -= dgemm(1, rows[:, :start].T, x[:start], trans_a=1)
        x[start:stop] = solve_triangular(rows[:, start:stop], x[start:stop], lower=True, check_finite=False)
    for start, rows in reversed(blocks):
        stop = start + len(rows)
        x[start:stop] = solve_triangular(rows[:, start:stop], x[start:stop], lower=True, trans=1, check_finite=False)
        if start:
            x[:start] -= dgemm(1, rows[:, :start].T, x[start:stop])
    return x


def one_block(matrix: Numbers) -> Blocks:
    """Present a matrix in memory as blocks of rows."""

    def blocks(each: Callable[[Numbers], Numbers] | None = None) -> Iterator[Block]:
        yield 0, each(matrix) if each else matrix

    return blocks


def gathered(parts: Iterable[Block]) -> Numbers:
    """Join the blocks of ``scores`` in one array (steps, n)."""
    return np.concatenate([tau for _, tau in parts], axis=1)


def side_by_side(parts: Iterable[Iterable[Block]]) -> Iterator[tuple[int, list[Numbers]]]:
    """Iterate over (start, [tau]) of several ``scores`` at once, cut wherever a block of any of them ends."""
    parts, start = [iter(part) for part in parts], 0
    current = [tau for _, tau in map(next, parts)]
    while True:
        width = min(tau.shape[1] for tau in current)
        yield start, [tau[:, :width] for tau in current]
        start, current = start + width, [tau[:, width:] for tau in current]
        for m, part in enumerate(parts):
            if not current[m].shape[1]:
                next_block = next(part, None)
                if next_block is None:  # all end at the same image
                    return
                current[m] = next_block[1]
