"""The curvature of the bases `ekfac` and `diagonal`: eigenvectors and eigenvalues for every parameter tensor.

A tensor is treated as a matrix: out × in·kh·kw, a vector as 1 × n. G_r is its part of Fisher row u_r (``fisher.py``).

factors      A = Σ_r G_rᵀG_r and S = Σ_r G_rG_rᵀ, with eigenvectors Q_A and Q_S in float64
eigenvalues  Λ = mean_r (Q_Sᵀ G_r Q_A)², entry by entry, over *other* rows than those that determined Q
whitening    W∇ = (Λ + λ)^-½ ⊙ Q_Sᵀ ∇ Q_A, with λ = ``curvature.damping`` × the mean of Λ over all tensors

arXiv 2410.13850 introduced (E)K-FAC influence functions for diffusion models; arXiv 2507.14740 studies what the
approximation loses compared with an accurate inverse. Despite its name, the basis `ekfac` differs from theirs: K-FAC's
factors come from a layer's inputs and output gradients, whereas A and S come from the rows' own weight gradients, as in
Shampoo (arXiv 1802.09568). They need no hooks and apply to any kind of layer. The eigenvalues are corrected as in
EK-FAC (George et al., arXiv 1806.03884): measured along the basis, not products of the factors' eigenvalues.

The eigenvalues use other rows because directions that the rows for Q happen to miss look flat on those rows, and a
fresh gradient would get most of its whitened energy from such directions. With fewer than ``SAMPLES`` samples per
dimension, a factor's eigenvectors are mostly noise; such a tensor is whitened by its diagonal, with Q the identity.
"""

# torch is partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from waypoint.errors import WaypointError
from waypoint.science.types import Numbers

SAMPLES = 4  # per dimension of a factor; with fewer it is not trusted
PANEL = 512  # columns of a Gram matrix that are computed at once


@dataclass(frozen=True)
class Matrix:
    """A parameter tensor as a matrix, and the factorisation of its two sides.

    Attributes:
        name: name of the parameter.
        start: first column of the tensor in a flat gradient.
        rows, columns: shape of the matrix.
        row_blocks, column_blocks: (start, stop) of the diagonal blocks in which S and A are factored; empty for a side
            of length 1, and where the tensor is whitened by its diagonal.
    """

    name: str
    start: int
    rows: int
    columns: int
    row_blocks: tuple[tuple[int, int], ...] = ()
    column_blocks: tuple[tuple[int, int], ...] = ()

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.rows * self.columns

    def part_of(self, gradients: torch.Tensor) -> torch.Tensor:
        """Return this tensor's part of flat gradients (B, p), as a view (B, rows, columns)."""
        return gradients[:, self.start : self.start + self.size].unflatten(1, (self.rows, self.columns))


def diagonal_matrices(shapes: Mapping[str, Iterable[int]]) -> list[Matrix]:
    """Return the matrices of the basis `diagonal`, which whitens every tensor by its diagonal.

    Args:
        shapes: {parameter: shape} in the order of the flat gradient, which is that of ``named_parameters``.
    """
    matrices: list[Matrix] = []
    start = 0
    for name, shape in shapes.items():
        out, *rest = shape if len(tuple(shape)) > 1 else (1, *shape)
        matrices.append(Matrix(name, start, out, math.prod(rest)))
        start += matrices[-1].size
    return matrices


def factored_matrices(shapes: Mapping[str, Iterable[int]], rows: int, bound: int) -> list[Matrix]:
    """Return the matrices of the basis `ekfac`: factored where both factors can be trusted, else by the diagonal.

    Args:
        shapes: as for ``diagonal_matrices``.
        rows: R, the number of Fisher rows for the factors. The factor of a side has R × (other side) samples.
        bound: the longest side that is factored whole; longer sides are cut into equal blocks of at most this size.
    """
    return [_factored(matrix, rows, bound) for matrix in diagonal_matrices(shapes)]


def _factored(matrix: Matrix, rows: int, bound: int) -> Matrix:
    row_blocks, column_blocks = equal_blocks(matrix.rows, bound), equal_blocks(matrix.columns, bound)
    sides = ((row_blocks, matrix.columns), (column_blocks, matrix.rows))
    if any(rows * other < SAMPLES * (stop - start) for blocks, other in sides for start, stop in blocks):
        return matrix
    return Matrix(matrix.name, matrix.start, matrix.rows, matrix.columns, row_blocks, column_blocks)


def equal_blocks(side: int, bound: int) -> tuple[tuple[int, int], ...]:
    """Cut a side into the fewest blocks (start, stop) of at most ``bound``, equal to within 1; none for length 1."""
    if side == 1:
        return ()
    count = -(-side // bound)
    edges = [side * k // count for k in range(count + 1)]
    return tuple(zip(edges, edges[1:]))


def factor_numbers(matrices: Iterable[Matrix]) -> int:
    """Count the numbers in all factors, and thus in all Q: 8 bytes each for the sums, 4 for the stored eigenvectors."""
    return sum(side**2 for matrix in matrices for side in sides_of(matrix))


def sides_of(matrix: Matrix) -> list[int]:
    """Return the lengths of the blocks in which the two sides of a tensor are factored."""
    return [stop - start for start, stop in (*matrix.row_blocks, *matrix.column_blocks)]


class _Sums(ABC):
    """Float64 sums over Fisher rows for every tensor, which can be saved and resumed.

    Attributes:
        rows: number of rows summed so far.
        totals: {key: tensor}; a key is ``{parameter}.{quantity}``.
    """

    def __init__(self, matrices: list[Matrix], totals: dict[str, torch.Tensor]):
        self.matrices, self.totals, self.rows = matrices, totals, 0
        self.parameters = sum(matrix.size for matrix in matrices)

    def add(self, gradients: torch.Tensor) -> None:
        """Add Fisher rows: flat gradients (B, p), on the device of the sums.

        Raises:
            WaypointError: the number of columns differs from that of parameters, or a value is not finite.
        """
        if gradients.shape[1] != self.parameters:
            raise WaypointError(f"curvature: {gradients.shape[1]} columns for {self.parameters} parameters")
        for matrix in self.matrices:
            part = matrix.part_of(gradients)
            if not part.isfinite().all():
                bad = (~part.isfinite()).flatten(1).any(1).nonzero()[0].item()
                raise WaypointError(f"curvature: Fisher row {self.rows + bad} is not finite in {matrix.name}")
            self._add(matrix, part)
        self.rows += len(gradients)

    @abstractmethod
    def _add(self, matrix: Matrix, part: torch.Tensor) -> None:
        """Add the rows' gradients of one tensor, (B, rows, columns)."""

    def state(self) -> dict[str, Numbers]:
        """Return all that is needed to resume, as arrays: ``rows`` and the sums. Write them before the next ``add``."""
        return {"rows": np.array(self.rows), **{key: total.cpu().numpy() for key, total in self.totals.items()}}

    def resume(self, state: Mapping[str, Numbers]) -> None:
        """Resume from a ``state`` of the same tensors.

        Raises:
            WaypointError: the state belongs to other tensors or to another factorisation.
        """
        if {key: state[key].shape for key in state if key != "rows"} != {
            key: tuple(total.shape) for key, total in self.totals.items()
        }:
            raise WaypointError("curvature: the state to resume from is not one of these parameters and blocks")
        for key, total in self.totals.items():
            total.copy_(torch.from_numpy(np.array(state[key])))
        self.rows = int(state["rows"])


class Factors(_Sums):
    """A = Σ GᵀG and S = Σ GGᵀ of every factored tensor, from a first set of Fisher rows.

    They take 8 bytes × ``factor_numbers``. Products and sums are float64; only upper triangles are computed.

    Args:
        matrices: from ``factored_matrices``.
        device: device of the rows.
    """

    def __init__(self, matrices: list[Matrix], device: torch.device | str = "cpu"):
        zeros = {
            key: torch.zeros(stop - start, stop - start, dtype=torch.float64, device=device)
            for matrix in matrices
            for key, (start, stop) in _sides(matrix)
        }
        super().__init__(matrices, zeros)

    def _add(self, matrix: Matrix, part: torch.Tensor) -> None:
        by_column = part.transpose(1, 2)
        for side, blocks, samples in (("A", matrix.column_blocks, part), ("S", matrix.row_blocks, by_column)):
            for k, (start, stop) in enumerate(blocks):
                block = samples[:, :, start:stop].double().reshape(-1, stop - start)
                add_upper_gram(self.totals[f"{matrix.name}.{side}.{k}"], block)

    def eigenvectors(self) -> dict[str, torch.Tensor]:
        """Compute Q_A and Q_S in float64 and round them to float32. This consumes the sums one by one.

        The entry of largest magnitude in each eigenvector is made positive, so that signs do not depend on the library.

        Returns:
            {``{parameter}.Q_A.{block}``, ``….Q_S.{block}``: (side, side), eigenvectors in columns}.
        """
        vectors: dict[str, torch.Tensor] = {}
        while self.totals:
            key = next(iter(self.totals))
            q = torch.linalg.eigh(self.totals.pop(key), UPLO="U").eigenvectors
            largest = q.gather(0, q.abs().argmax(0, keepdim=True))
            name, side, block = key.rsplit(".", 2)
            vectors[f"{name}.Q_{side}.{block}"] = (q * largest.sign()).float()
        return vectors


def _sides(matrix: Matrix, letters: tuple[str, str] = ("A", "S")) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the key of every factor of a tensor with its block (start, stop)."""
    for letter, blocks in zip(letters, (matrix.column_blocks, matrix.row_blocks)):
        for k, block in enumerate(blocks):
            yield f"{matrix.name}.{letter}.{k}", block


def add_upper_gram(total: torch.Tensor, rows: torch.Tensor) -> None:
    """Add XᵀX of X (n, side) to the upper triangle of ``total`` (side, side), a panel of columns at a time."""
    for start in range(0, len(total), PANEL):
        stop = start + PANEL
        total[:stop, start:stop].addmm_(rows[:, :stop].T, rows[:, start:stop])


def rotated(matrix: Matrix, part: torch.Tensor, vectors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return Q_Sᵀ G Q_A for every G in ``part`` (B, rows, columns); ``part`` itself if the tensor is not factored."""
    if matrix.column_blocks:
        q = [vectors[f"{matrix.name}.Q_A.{k}"] for k in range(len(matrix.column_blocks))]
        part = torch.cat([part[:, :, start:stop] @ q[k] for k, (start, stop) in enumerate(matrix.column_blocks)], 2)
    if matrix.row_blocks:
        q = [vectors[f"{matrix.name}.Q_S.{k}"] for k in range(len(matrix.row_blocks))]
        part = torch.cat([q[k].T @ part[:, start:stop] for k, (start, stop) in enumerate(matrix.row_blocks)], 1)
    return part


class Eigenvalues(_Sums):
    """Λ = mean (Q_Sᵀ G Q_A)² from a second set of Fisher rows, which must differ from those for Q.

    Args:
        matrices: as for ``Factors``, or ``diagonal_matrices``.
        vectors: from ``Factors.eigenvectors``; empty if no tensor is factored.
        device: device of the rows.
    """

    def __init__(self, matrices: list[Matrix], vectors: Mapping[str, torch.Tensor], device: torch.device | str = "cpu"):
        zeros = {
            f"{matrix.name}.squares": torch.zeros(matrix.rows, matrix.columns, dtype=torch.float64, device=device)
            for matrix in matrices
        }
        super().__init__(matrices, zeros)
        self.vectors = {key: q.to(device) for key, q in vectors.items()}

    def _add(self, matrix: Matrix, part: torch.Tensor) -> None:
        squares = rotated(matrix, part, self.vectors).double().square_().sum(0)
        self.totals[f"{matrix.name}.squares"] += squares

    def curvature(self) -> "Curvature":
        """Return the curvature estimated from these rows.

        Raises:
            WaypointError: there are no rows, or all are zero.
        """
        if not any(total.any() for total in self.totals.values()):
            raise WaypointError("curvature: all Fisher rows are zero: the network's output does not depend on θ")
        values = {matrix.name: (self.totals[f"{matrix.name}.squares"] / self.rows).float() for matrix in self.matrices}
        return Curvature(self.matrices, self.vectors, values)


@dataclass(frozen=True)
class Curvature:
    """Eigenvectors and eigenvalues of every tensor, as stored in ``curvature/{checkpoint}.zarr``.

    They take 4 bytes × (``factor_numbers`` + p) and do not include damping.

    Attributes:
        matrices: one for every tensor, in the order of the flat gradient.
        vectors: {``{parameter}.Q_A.{block}``, ``….Q_S.{block}``: (side, side) float32}.
        values: {parameter: Λ (rows, columns) float32}.
    """

    matrices: list[Matrix]
    vectors: Mapping[str, torch.Tensor]
    values: Mapping[str, torch.Tensor]

    def mean_eigenvalue(self) -> float:
        """Return the mean of Λ over all parameters of all tensors: the trace of the Fisher matrix divided by p."""
        total = sum(value.sum(dtype=torch.float64).item() for value in self.values.values())
        return total / sum(matrix.size for matrix in self.matrices)

    def strength(self, damping: float) -> float:
        """Return λ = damping × the mean eigenvalue.

        Raises:
            WaypointError: damping is not above 0.
        """
        if not damping > 0:
            raise WaypointError(
                f"curvature.damping: {damping} is refused: many eigenvalues are zero up to rounding (those of an "
                "attention's key bias, which softmax ignores), and whitening divides by them. Set it above 0"
            )
        return damping * self.mean_eigenvalue()

    def whitening(self, damping: float) -> "Whitening":
        """Return the map W of the basis for λ = ``strength(damping)``, with the same errors."""
        return Whitening(self, self.strength(damping))

    def to(self, device: torch.device | str) -> "Curvature":
        """Return the same curvature on a device."""
        vectors = {key: q.to(device) for key, q in self.vectors.items()}
        return Curvature(self.matrices, vectors, {name: value.to(device) for name, value in self.values.items()})

    def arrays(self) -> dict[str, Numbers]:
        """Return the curvature as float32 arrays on the CPU, which ``from_arrays`` reads.

        Returns:
            {``{parameter}.eigenvalues``: (rows, columns); ``{parameter}.Q_A.{block}``, ``….Q_S.{block}``: (side, side)
            for every factored block}.
        """
        values = {f"{name}.eigenvalues": value for name, value in self.values.items()}
        return {key: value.cpu().numpy() for key, value in {**values, **self.vectors}.items()}

    @classmethod
    def from_arrays(cls, shapes: Mapping[str, Iterable[int]], arrays: Mapping[str, Numbers]) -> "Curvature":
        """Read a curvature from ``arrays``, which also determine how the tensors are factored.

        Args:
            shapes: as for ``diagonal_matrices``, of the network in use.

        Raises:
            WaypointError: the arrays do not belong to these parameters.
        """
        matrices = [_with_stored_blocks(matrix, arrays) for matrix in diagonal_matrices(shapes)]
        keys = {f"{name}.eigenvalues" for name in shapes}
        keys |= {key for matrix in matrices for key, _ in _sides(matrix, ("Q_A", "Q_S"))}
        if extra := sorted(set(arrays) - keys):
            raise WaypointError(f"curvature: {extra[0]} belongs to no parameter of this network")
        tensors = {key: torch.from_numpy(np.require(arrays[key], np.float32, "W")) for key in arrays}
        values = {matrix.name: tensors.pop(f"{matrix.name}.eigenvalues") for matrix in matrices}
        return cls(matrices, tensors, values)


def _with_stored_blocks(matrix: Matrix, arrays: Mapping[str, Numbers]) -> Matrix:
    """Return a tensor with the blocks of its stored arrays."""
    values = arrays.get(f"{matrix.name}.eigenvalues")
    if values is None or values.shape != (matrix.rows, matrix.columns):
        shape = "none" if values is None else " × ".join(map(str, values.shape))
        raise WaypointError(
            f"curvature: {matrix.name} is {matrix.rows} × {matrix.columns} in this network, its eigenvalues are {shape}"
        )
    row_blocks = _stored_blocks(f"{matrix.name}.Q_S", matrix.rows, arrays)
    column_blocks = _stored_blocks(f"{matrix.name}.Q_A", matrix.columns, arrays)
    return Matrix(matrix.name, matrix.start, matrix.rows, matrix.columns, row_blocks, column_blocks)


def _stored_blocks(name: str, side: int, arrays: Mapping[str, Numbers]) -> tuple[tuple[int, int], ...]:
    """Return the blocks (start, stop) of one side, from the sizes of its eigenvectors."""
    edges = [0]
    while (key := f"{name}.{len(edges) - 1}") in arrays:
        edges.append(edges[-1] + len(arrays[key]))
    if edges[-1] not in (0, side):
        raise WaypointError(f"curvature: {name} has {edges[-1]} dimensions, not {side}")
    return tuple(zip(edges, edges[1:]))


class Whitening:
    """W∇ = (Λ + λ)^-½ ⊙ Q_Sᵀ ∇ Q_A for every tensor, so that W∇ · W∇' = ∇ᵀ (Q Λ Qᵀ + λI)⁻¹ ∇'.

    Args:
        curvature: a ``Curvature`` on the device of the gradients.
        strength: λ, in the units of Λ; see ``Curvature.strength``.
    """

    def __init__(self, curvature: Curvature, strength: float):
        self.matrices, self.vectors = curvature.matrices, curvature.vectors
        self.scales = {name: (value.double() + strength).rsqrt_().float() for name, value in curvature.values.items()}

    def parts(self, gradients: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield whitened gradients tensor by tensor, so that only one tensor is copied at a time.

        Args:
            gradients: (B, p) float32, not changed.

        Returns:
            an iterator of (start, (B, size)): the columns from ``start`` on.
        """
        for matrix in self.matrices:
            whitened = rotated(matrix, matrix.part_of(gradients), self.vectors) * self.scales[matrix.name]
            yield matrix.start, whitened.flatten(1)

    def whiten(self, gradients: torch.Tensor) -> torch.Tensor:
        """Return whitened copies of flat gradients (B, p)."""
        return self.whiten_(gradients.clone())

    def whiten_(self, gradients: torch.Tensor) -> torch.Tensor:
        """Whiten flat gradients (B, p) in place; this needs two additional copies of the largest tensor's part."""
        for start, part in self.parts(gradients):
            gradients[:, start : start + part.shape[1]] = part
        return gradients


class Projector(Protocol):
    """The part of the interface of a projection (``projection.py``) that whitening uses."""

    d: int

    def rows_per_block(self, device: torch.device) -> int: ...

    def add_block(self, out: torch.Tensor, start: int, part: torch.Tensor) -> None: ...


class WhitenedProjection:
    """PᵀW∇: gradients whitened, then projected, tensor by tensor. Usable in place of P.

    Args:
        whitening: W. projection: P.
    """

    def __init__(self, whitening: Whitening, projection: Projector):
        self.whitening, self.projection, self.d = whitening, projection, projection.d

    def project(self, gradients: torch.Tensor) -> torch.Tensor:
        """Return PᵀW∇ for each row ∇: (B, p) to (B, d), on the gradients' device."""
        out = gradients.new_zeros(len(gradients), self.d)
        width = self.projection.rows_per_block(gradients.device)
        for start, part in self.whitening.parts(gradients):
            for offset in range(0, part.shape[1], width):
                self.projection.add_block(out, start + offset, part[:, offset : offset + width])
        return out


def estimate(matrices: list[Matrix], first: Iterable[torch.Tensor], second: Iterable[torch.Tensor]) -> Curvature:
    """Estimate the curvature from batches of Fisher rows.

    Args:
        matrices: from ``factored_matrices`` or ``diagonal_matrices``.
        first, second: batches (B, p) float32 of two independent sets of rows, for Q and for Λ. ``first`` is not read if
            no tensor is factored.
    """
    factors = Factors(matrices)
    if factors.totals:
        for gradients in first:
            factors.add(gradients)
    eigenvalues = Eigenvalues(matrices, factors.eigenvectors())
    for gradients in second:
        eigenvalues.add(gradients)
    return eigenvalues.curvature()
