"""Curvature of `ekfac` and `diagonal`: against explicit sums and dense inverses, on rows of known Fisher matrices."""

import numpy as np
import pytest
import torch

from waypoint.errors import WaypointError
from waypoint.science import curvature
from waypoint.science.curvature import Curvature, Eigenvalues, Factors, WhitenedProjection
from waypoint.science.projection import PROJECTIONS

SHAPES = {"conv.weight": (4, 3, 2, 2), "conv.bias": (4,), "linear.weight": (5, 3), "scale": (), "column.weight": (6, 1)}
P = 48 + 4 + 15 + 1 + 6
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def normals(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def fisher_rows(n, shapes=SHAPES, seed=0):
    """Rows (n, p) whose tensors have the Kronecker structure that K-FAC supposes, with very unequal eigenvalues."""
    parts = []
    for k, matrix in enumerate(curvature.diagonal_matrices(shapes)):
        left = normals(matrix.rows, matrix.rows, seed=1000 + k)
        right = normals(matrix.columns, matrix.columns, seed=2000 + k) * torch.logspace(0, -1, matrix.columns)
        parts.append((left @ normals(n, matrix.rows, matrix.columns, seed=seed + 10 * k) @ right.T).flatten(1))
    return torch.cat(parts, 1)


def split(rows, size):
    return rows.split(size)


def of_rows(shapes=SHAPES, n=200, bound=100):
    """A curvature of 2 n rows."""
    matrices = curvature.factored_matrices(shapes, n, bound)
    return curvature.estimate(matrices, split(fisher_rows(n, shapes), 64), split(fisher_rows(n, shapes, 7), 64))


def by_tensor(flat, shapes=SHAPES):
    """{parameter: (n, rows, columns)} float64 of flat gradients, cut and reshaped by hand."""
    cut, start = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        rows = shape[0] if len(shape) > 1 else 1
        cut[name] = flat[:, start : start + size].double().numpy().reshape(len(flat), rows, size // rows)
        start += size
    return cut


# ---- factors and eigenvalues


@pytest.mark.parametrize("panel", [2, 512])
def test_factors_are_explicit_sums(panel, monkeypatch):
    monkeypatch.setattr(curvature, "PANEL", panel)
    rows = fisher_rows(200)
    factors = Factors(curvature.factored_matrices(SHAPES, 200, 100))
    for batch in split(rows, 30):
        factors.add(batch)
    assert factors.rows == 200
    for name, g in by_tensor(rows).items():
        for side, expected in (("A", sum(x.T @ x for x in g)), ("S", sum(x @ x.T for x in g))):
            if len(expected) == 1:
                assert f"{name}.{side}.0" not in factors.totals  # a side of length 1 has nothing to rotate
            else:
                assert np.allclose(np.triu(factors.totals[f"{name}.{side}.0"]), np.triu(expected), rtol=1e-12)


@pytest.mark.parametrize("panel", [5, 512])
def test_eigenvectors_diagonalise_their_factor_and_have_a_definite_sign(panel, monkeypatch):
    monkeypatch.setattr(curvature, "PANEL", panel)
    rows = fisher_rows(200)
    factors = Factors(curvature.factored_matrices(SHAPES, 200, 100))
    factors.add(rows)
    q = factors.eigenvectors()["conv.weight.Q_A.0"].double().numpy()
    g = by_tensor(rows)["conv.weight"]
    rotated = q.T @ np.einsum("nrc,nrd->cd", g, g) @ q
    assert np.abs(rotated - np.diag(np.diag(rotated))).max() < 1e-6 * rotated.max()
    assert (q[np.abs(q).argmax(0), np.arange(12)] > 0).all()


def test_eigenvalues_are_mean_squares_along_the_basis_of_the_second_rows():
    found, second = of_rows(), by_tensor(fisher_rows(200, seed=7))
    for name, g in second.items():
        rows, columns = g.shape[1:]
        q_s, q_a = (
            found.vectors[key].double().numpy() if (key := f"{name}.Q_{side}.0") in found.vectors else np.eye(length)
            for side, length in (("S", rows), ("A", columns))
        )
        expected = np.mean([(q_s.T @ x @ q_a) ** 2 for x in g], axis=0)
        assert np.allclose(found.values[name], expected, rtol=1e-5, atol=0)


def test_eigenvectors_follow_from_the_first_rows_alone_and_eigenvalues_scale_with_the_second():
    matrices = curvature.factored_matrices(SHAPES, 200, 100)
    first, second = fisher_rows(200), fisher_rows(200, seed=7)
    once, thrice = (curvature.estimate(matrices, *both) for both in (([first], [second]), ([first], [3 * second])))
    for key, q in once.vectors.items():
        assert torch.equal(q, thrice.vectors[key])
    for name, value in once.values.items():
        assert torch.allclose(9 * value, thrice.values[name])


def test_flat_gradients_are_in_the_order_of_autograds():
    """Each parameter of a module is found where ``named_parameters`` puts it, convolutions out × in·kh·kw."""
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 2), torch.nn.GroupNorm(2, 4), torch.nn.Conv2d(4, 2, 1))
    shapes = {name: q.shape for name, q in model.named_parameters()}
    gradients = torch.autograd.grad(model(normals(1, 3, 5, 5)).square().sum(), model.parameters())
    flat = torch.cat([gradient.flatten() for gradient in gradients])[None]
    for matrix, (name, shape), gradient in zip(
        curvature.diagonal_matrices(shapes), shapes.items(), gradients, strict=True
    ):
        assert matrix.name == name
        expected = gradient.reshape(shape[0], -1) if len(shape) > 1 else gradient[None]
        assert torch.equal(matrix.part_of(flat)[0], expected)


# ---- which factors are trusted, and blocks


def factored(shape, rows, bound=10_000):
    return bool(curvature.factored_matrices({"w": shape}, rows, bound)[0].column_blocks)


def test_a_factor_needs_four_samples_for_each_dimension():
    assert factored((128,), 512) and not factored((129,), 512)  # a vector has R samples
    assert factored((3, 384), 512) and not factored((3, 385), 512)  # the long side of a matrix has 3 R
    assert factored((64, 3, 3, 3), 512) and not factored((512, 1, 1, 1), 15)
    assert not factored((3, 128, 3, 3), 512)  # the last convolution of a UNet: 1,536 samples for 1,152 dimensions


def test_long_sides_are_cut_into_equal_blocks():
    (matrix,) = curvature.factored_matrices({"w": (5, 23)}, 100, 8)
    assert matrix.row_blocks == ((0, 5),)
    assert matrix.column_blocks == ((0, 7), (7, 15), (15, 23))
    assert curvature.factor_numbers([matrix]) == 25 + 49 + 64 + 64


def test_blocks_are_those_of_the_whole_factors():
    """The factors of blocks are the diagonal blocks of the factors; whitening mixes nothing across them."""
    shapes, rows = {"w": (5, 23)}, fisher_rows(100, {"w": (5, 23)})
    whole, cut = (Factors(curvature.factored_matrices(shapes, 100, bound)) for bound in (100, 8))
    for factors in (whole, cut):
        factors.add(rows)
    for k, (start, stop) in enumerate(cut.matrices[0].column_blocks):
        assert torch.allclose(cut.totals[f"w.A.{k}"], whole.totals["w.A.0"][start:stop, start:stop], rtol=1e-12)
    found = curvature.estimate(cut.matrices, [rows], [fisher_rows(100, shapes, 7)])
    one = torch.zeros(1, 5, 23)
    one[:, :, 9] = 1
    whitened = found.whitening(0.1).whiten(one.flatten(1)).unflatten(1, (5, 23))
    assert whitened[:, :, 7:15].abs().min() > 0 and not whitened[:, :, :7].any() and not whitened[:, :, 15:].any()


@pytest.mark.parametrize("shape", [(300,), (3, 100)], ids=["vector", "matrix"])
def test_a_fresh_gradient_has_the_whitened_norm_that_it_should_have(shape):
    """More dimensions than 100 rows can tell apart: true Fisher I, so that E|W∇|² is p but for λ."""
    matrices = curvature.factored_matrices({"w": shape}, 100 if len(shape) == 1 else 50, 1000)
    first, second, fresh = (normals(100, 300, seed=s) for s in range(3))
    found = curvature.estimate(matrices, [first], [second])
    energy = found.whitening(1e-5).whiten(fresh).square().sum(1).mean().item()
    assert 300 / 2 < energy < 300 * 2


def test_eigenvalues_on_the_rows_of_the_eigenvectors_would_hide_missing_directions():
    """The trap: were such a factor trusted, and Λ from the same rows, a fresh gradient would be all noise."""
    trusting = curvature.factored_matrices({"w": (300,)}, 10_000, 1000)
    rows, fresh = normals(100, 300), normals(100, 300, seed=2)
    found = curvature.estimate(trusting, [rows], [rows])
    assert found.whitening(1e-5).whiten(fresh).square().sum(1).mean().item() > 1000 * 300


def test_a_factor_that_is_just_trusted_whitens_fresh_gradients():
    matrices = curvature.factored_matrices({"w": (50,)}, 200, 1000)
    assert matrices[0].column_blocks
    rows = [normals(200, 50, seed=s) * torch.logspace(0, -2, 50) for s in range(3)]
    found = curvature.estimate(matrices, rows[:1], rows[1:2])
    assert 50 / 2 < found.whitening(1e-6).whiten(rows[2]).square().sum(1).mean().item() < 50 * 2


# ---- whitening


def dense(found, strength):
    """(QΛQᵀ + λI)⁻¹ over all parameters, with Q = Q_S ⊗ Q_A of every tensor; zero across tensors."""
    inverse = np.zeros((P, P))
    for matrix in found.matrices:
        sides = []
        for letter, length in (("S", matrix.rows), ("A", matrix.columns)):
            key = f"{matrix.name}.Q_{letter}.0"
            sides.append(found.vectors[key].double().numpy() if key in found.vectors else np.eye(length))
        q = np.kron(*sides)
        block = q @ np.diag(1 / (found.values[matrix.name].double().numpy().ravel() + strength)) @ q.T
        inverse[matrix.start : matrix.start + matrix.size, matrix.start : matrix.start + matrix.size] = block
    return inverse


@pytest.mark.parametrize("damping", [1e-3, 1.0])
def test_whitened_inner_products_are_those_of_the_dense_inverse(damping):
    found = of_rows()
    mean = torch.cat([value.flatten() for value in found.values.values()]).double().mean().item()
    assert found.mean_eigenvalue() == pytest.approx(mean)
    gradients = fisher_rows(6, seed=3)
    whitened = found.whitening(damping).whiten(gradients).double().numpy()
    flat = gradients.double().numpy()
    expected = flat @ dense(found, damping * mean) @ flat.T
    assert np.abs(whitened @ whitened.T - expected).max() < 1e-5 * np.abs(expected).max()


def test_whitening_by_the_true_kronecker_fisher_makes_gradients_white():
    """With many rows and little damping E[W∇ (W∇)ᵀ] is I, off the diagonal too."""
    shapes = {"w": (4, 6)}
    found = of_rows(shapes, 4000)
    whitened = found.whitening(1e-6).whiten(fisher_rows(20_000, shapes, 3))
    assert (whitened.T @ whitened / 20_000 - torch.eye(24)).abs().max() < 0.12


def test_the_diagonal_basis_divides_by_root_mean_squares():
    matrices = curvature.diagonal_matrices(SHAPES)
    rows, gradients = fisher_rows(50), fisher_rows(3, seed=3)
    found = curvature.estimate(matrices, [], [rows])
    squares = rows.double().square().mean(0)
    expected = gradients.double() / (squares + 0.1 * squares.mean()).sqrt()
    assert torch.allclose(found.whitening(0.1).whiten(gradients).double(), expected, rtol=1e-5)
    assert not found.vectors


@pytest.mark.parametrize("device", DEVICES)
def test_neither_batch_nor_device_changes_a_row(device):
    found, gradients = of_rows(), fisher_rows(9, seed=3)
    whole = found.whitening(1e-3).whiten(gradients)
    whitening = found.to(device).whitening(1e-3)
    for size in (1, 4):
        parts = torch.cat([whitening.whiten(part.to(device)).cpu() for part in split(gradients, size)])
        assert (parts - whole).abs().max() < 1e-5 * whole.abs().max()


def test_whitening_in_place_and_by_tensor_are_the_same():
    whitening, gradients = of_rows().whitening(1e-3), fisher_rows(4, seed=3)
    untouched = gradients.clone()
    whole = whitening.whiten(gradients)
    parts = list(whitening.parts(gradients))
    assert [start for start, _ in parts] == [0, 48, 52, 67, 68]
    assert torch.equal(torch.cat([part for _, part in parts], 1), whole)
    assert torch.equal(gradients, untouched)
    assert whitening.whiten_(gradients) is gradients and torch.equal(gradients, whole)


@pytest.mark.parametrize("kind", PROJECTIONS)
def test_a_whitened_projection_is_whitening_and_then_projecting(kind, monkeypatch):
    whitening, gradients = of_rows().whitening(1e-3), fisher_rows(4, seed=3)
    P = PROJECTIONS[kind](0, "full/0", 30)
    expected = P.project(whitening.whiten(gradients))
    monkeypatch.setattr(type(P), "rows_per_block", lambda self, device: 7)  # blocks end within tensors
    found = WhitenedProjection(whitening, P)
    assert found.d == 30
    assert (found.project(gradients) - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("damping", [0, 0.0, -1e-3, float("nan")])
def test_damping_that_is_not_above_zero_names_the_key(damping):
    with pytest.raises(WaypointError, match=r"curvature\.damping: .* is refused"):
        of_rows().whitening(damping)


def test_a_direction_without_any_curvature_is_whitened_by_damping_alone():
    """Of an attention's key bias, say: every row is zero there; nothing divides by zero."""
    first, second = fisher_rows(200), fisher_rows(200, seed=7)
    for rows in (first, second):
        rows[:, 48:52] = 0
    found = curvature.estimate(curvature.factored_matrices(SHAPES, 200, 100), [first], [second])
    gradient = torch.zeros(1, P)
    gradient[:, 49] = 1
    norm = found.whitening(0.01).whiten(gradient).square().sum().item()
    assert norm == pytest.approx(1 / (0.01 * found.mean_eigenvalue()), rel=1e-5)


# ---- batches, resuming, storing


@pytest.mark.parametrize("size", [1, 13, 200])
def test_batches_do_not_change_the_curvature(size):
    matrices = curvature.factored_matrices(SHAPES, 200, 100)
    found = curvature.estimate(matrices, split(fisher_rows(200), size), split(fisher_rows(200, seed=7), size))
    gradients = fisher_rows(5, seed=3)
    expected = of_rows().whitening(1e-3).whiten(gradients)
    assert (found.whitening(1e-3).whiten(gradients) - expected).abs().max() < 1e-5 * expected.abs().max()


def saved(sums):
    """A state as it comes back from disk: other memory, read-only."""
    state = {key: value.copy() for key, value in sums.state().items()}
    for value in state.values():
        value.setflags(write=False)
    return state


def test_sums_resume_where_their_state_was_taken():
    matrices = curvature.factored_matrices(SHAPES, 200, 100)
    first, second = split(fisher_rows(200), 64), split(fisher_rows(200, seed=7), 64)
    factors = Factors(matrices)
    for batch in first[:2]:
        factors.add(batch)
    again = Factors(matrices)
    again.resume(saved(factors))
    for batch in first[2:]:
        again.add(batch)
    assert again.rows == 200
    eigenvalues = Eigenvalues(matrices, again.eigenvectors())
    eigenvalues.add(second[0])
    resumed = Eigenvalues(matrices, eigenvalues.vectors)
    resumed.resume(saved(eigenvalues))
    for batch in second[1:]:
        resumed.add(batch)
    for key, value in of_rows().arrays().items():
        assert np.array_equal(resumed.curvature().arrays()[key], value), key


def test_a_state_of_other_parameters_is_refused():
    state = Factors(curvature.factored_matrices({"w": (4, 6)}, 200, 100)).state()
    for shapes, bound in (({"w": (6, 4)}, 100), ({"v": (4, 6)}, 100), ({"w": (4, 6)}, 3)):
        with pytest.raises(WaypointError, match="state to resume from"):
            Factors(curvature.factored_matrices(shapes, 200, bound)).resume(state)


@pytest.mark.parametrize("bound", [100, 5], ids=["whole", "blocks"])
def test_a_curvature_comes_back_from_its_arrays(bound):
    """Also where some tensors are factored, others in blocks, others not at all."""
    found = of_rows(n=20, bound=bound)
    assert {bool(matrix.column_blocks) for matrix in found.matrices} == {True, False}
    arrays = found.arrays()
    assert all(array.dtype == np.float32 for array in arrays.values())
    for array in arrays.values():
        array.setflags(write=False)
    again = Curvature.from_arrays(SHAPES, arrays)
    assert again.matrices == found.matrices
    gradients = fisher_rows(3, seed=3)
    assert torch.equal(again.whitening(1e-3).whiten(gradients), found.whitening(1e-3).whiten(gradients))


def test_arrays_of_another_network_are_refused_by_name():
    arrays = of_rows().arrays()
    with pytest.raises(WaypointError, match=r"conv\.bias is 1 × 5 in this network, its eigenvalues are 1 × 4"):
        Curvature.from_arrays({**SHAPES, "conv.bias": (5,)}, arrays)
    with pytest.raises(WaypointError, match=r"new is 1 × 2 in this network, its eigenvalues are none"):
        Curvature.from_arrays({**SHAPES, "new": (2,)}, arrays)
    with pytest.raises(WaypointError, match=r"scale.eigenvalues belongs to no parameter"):
        Curvature.from_arrays({name: shape for name, shape in SHAPES.items() if name != "scale"}, arrays)
    with pytest.raises(WaypointError, match=r"conv\.weight.Q_A has 11 dimensions, not 12"):
        Curvature.from_arrays(SHAPES, {**arrays, "conv.weight.Q_A.0": np.eye(11)})


# ---- refused rows


def test_a_row_that_is_not_finite_is_named():
    rows = fisher_rows(20)
    rows[13, 50] = float("inf")
    factors = Factors(curvature.factored_matrices(SHAPES, 20, 100))
    factors.add(rows[:10])
    with pytest.raises(WaypointError, match=r"Fisher row 13 is not finite in conv\.bias"):
        factors.add(rows[10:])


def test_rows_of_another_network_are_refused():
    with pytest.raises(WaypointError, match=f"10 columns for {P} parameters"):
        Factors(curvature.diagonal_matrices(SHAPES)).add(torch.zeros(1, 10))


def test_rows_that_are_all_zero_are_refused():
    with pytest.raises(WaypointError, match="all Fisher rows are zero"):
        curvature.estimate(curvature.diagonal_matrices(SHAPES), [], [torch.zeros(5, P)])
