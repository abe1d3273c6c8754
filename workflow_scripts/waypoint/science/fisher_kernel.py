"""The kernel K = UᵀU/R + δ (trace/dim) I of R Fisher rows (``fisher.py``), and K⁻¹g, in float64.

U (R × dim) holds the rows u_r after the map of their basis and the projection; the trace is that of UᵀU/R; dim is d,
or p without projection. K takes the place of TRAK's ΦᵀΦ + λI (Alg. 1 line 17): τ(i) = φ_iᵀ K⁻¹ g. It estimates the
Fisher matrix JᵀJ/D (arXiv 2410.13850) instead of the Gram matrix of the loss gradients.

For R ≥ dim the dim × dim matrix is factored; for R < dim the R × R form is, by Woodbury's identity. With
s = δ trace(UᵀU)/dim, the same number in both forms, K⁻¹ = R (UᵀU + s I)⁻¹ = (R/s) [I − Uᵀ(UUᵀ + s I)⁻¹U].
U and Φ are read only in blocks of rows.
"""

# SciPy and the compiled kernels are partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportUnknownLambdaType=false

from collections.abc import Iterator

import numpy as np
from scipy.linalg.blas import dsyrk  # pyright: ignore[reportAttributeAccessIssue]

from waypoint.errors import WaypointError
from waypoint.kernels import tall_skinny_matmul
from waypoint.science import kernel
from waypoint.science.kernel import Block, Blocks
from waypoint.science.types import Doubles, Numbers

COLUMNS = 4096  # columns of U held in float64 at once in the dual form


def gram(blocks: Blocks, rows: int, dim: int) -> Doubles:
    """Return UᵀU (dim × dim) if rows ≥ dim, else UUᵀ (rows × rows), which holds U in its stored precision.

    Args:
        blocks: over U, rows float (b, dim). rows, dim: shape of U.

    Returns:
        float64, of size min(rows, dim).
    """
    if rows >= dim:
        return kernel.gram(blocks, rows, dim)
    u = np.concatenate([part for _, part in blocks()])
    out = np.zeros((rows, rows), order="F")
    for start in range(0, dim, COLUMNS):
        part = u[:, start : start + COLUMNS].astype(np.float64, order="C")
        out = dsyrk(1, part.T, trans=1, beta=1, c=out, lower=1, overwrite_c=1)
    return np.tril(out) + np.tril(out, -1).T


def factor(matrix: Doubles, rows: int, dim: int, damping: float) -> tuple[Doubles, float]:
    """Return the lower Cholesky factor of the Gram matrix plus s I, and s = δ trace/dim.

    Args:
        matrix: from ``gram``. rows, dim: shape of U. damping: δ, ``kernel.damping``.

    Raises:
        WaypointError: δ is below 0, or 0 with fewer rows than dimensions; or the matrix is singular in float64.
    """
    if damping < 0:
        raise WaypointError(f"kernel.damping: {damping} is below 0")
    if damping == 0 and rows < dim:
        raise WaypointError(
            f"the kernel's damping of {damping} needs at least as many Fisher rows as dimensions; here are {rows} rows "
            f"and {dim} dimensions, so UᵀU is singular. Set kernel.damping of this method, in methods, above 0"
        )
    # kernel.factor's λ is relative to trace / min(rows, dim)
    return kernel.factor(matrix, rows, dim, damping if rows >= dim else damping * rows / dim)


def solve(blocks: Blocks, rows: int, dim: int, lower: Blocks, strength: float, g: Numbers) -> Doubles:
    """Return K⁻¹ g for every row of g.

    Args:
        blocks: as for ``gram``; read only for rows < dim. rows, dim: shape of U.
        lower: over the rows of the factor that ``factor`` returns. strength: s.
        g: (steps, dim), in the basis and projection of U.

    Returns:
        float64 (steps, dim).
    """
    g = g.astype(np.float64)
    if rows >= dim:
        return rows * kernel.solve(lower, g.T).T
    Ug = np.concatenate([part.astype(np.float64) @ g.T for _, part in blocks()])
    weights = kernel.solve(lower, Ug)
    for start, part in blocks():
        g = g - weights[start : start + len(part)].T @ part.astype(np.float64)
    return rows / strength * g


def scores(blocks: Blocks, solved: Numbers) -> Iterator[Block]:
    """Return τ(i) = φ_iᵀ K⁻¹ g for every row of Φ and of g, block by block, in the precision of Φ.

    Args:
        blocks: over Φ, rows float (b, dim); given a function ``each`` of rows, it iterates over (start, result).
        solved: K⁻¹g from ``solve``, (steps, dim).

    Returns:
        an iterator of (start, scores (steps, b)).
    """
    right = {kind: np.asfortranarray(solved.T, kind) for kind in ("float32", "float64")}
    products = blocks(each=lambda phi: tall_skinny_matmul(phi, right[phi.dtype.name]))
    return ((start, product.T) for start, product in products)
