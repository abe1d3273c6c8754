"""The Gaussian projection: one explicit matrix, unbiased, independent of batch and threads."""

import pytest
import torch

from waypoint.science.projection import GaussianProjection

P, D = 20_000, 16  # more than two blocks


@pytest.fixture(scope="module")
def matrix():
    projection = GaussianProjection(0, "full/0", P, D)
    rows = [min(projection.ROWS, P - start) for start in range(0, P, projection.ROWS)]
    return torch.cat([projection.block(i, n) for i, n in enumerate(rows)]) / D**0.5


def vectors(n, seed=1):
    return torch.randn(n, P, generator=torch.Generator().manual_seed(seed))


def test_projects_by_its_explicit_matrix(matrix):
    g = vectors(3)
    expected = (g.double() @ matrix.double()).float()
    assert torch.allclose(GaussianProjection(0, "full/0", P, D).project(g), expected, atol=1e-5 * expected.abs().max())


def test_entries_have_variance_one_over_d(matrix):
    """E[PPᵀ] = I: inner products are unbiased."""
    assert abs(matrix.var().item() * D - 1) < 5 * (2 / (P * D)) ** 0.5
    assert abs(matrix.mean().item()) < 5 * (1 / (P * D * D)) ** 0.5


def test_inner_products_are_unbiased_with_the_known_variance():
    """Over many P: mean ⟨a,b⟩ and variance (|a|²|b|² + ⟨a,b⟩²)/d."""
    a, b = vectors(2, seed=3)[:, :200]
    b = 0.5 * a + b
    found = torch.tensor(
        [
            (lambda g: (g[0] * g[1]).sum())(GaussianProjection(s, "full/0", 200, D).project(torch.stack([a, b])))
            for s in range(800)
        ]
    )
    variance = (a.norm() ** 2 * b.norm() ** 2 + (a @ b) ** 2) / D
    assert abs(found.mean() - a @ b) < 4 * (variance / 800).sqrt()
    assert 0.8 < found.var() / variance < 1.25


def test_checkpoints_have_matrices_of_their_own(matrix):
    other = GaussianProjection(0, "full/1", P, D).block(0, 100)
    assert not torch.equal(other, GaussianProjection(0, "full/0", P, D).block(0, 100))
    assert abs(torch.corrcoef(torch.stack([other.ravel(), matrix[:100].ravel()]))[0, 1]) < 0.1


def test_rows_do_not_depend_on_the_batch():
    g, projection = vectors(5), GaussianProjection(0, "full/0", P, D)
    whole = projection.project(g)
    alone = torch.cat([projection.project(row[None]) for row in g])
    assert torch.allclose(whole, alone, atol=1e-5 * whole.abs().max())


def test_result_does_not_depend_on_the_thread_count():
    g, before = vectors(2), torch.get_num_threads()
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(GaussianProjection(0, "full/0", P, D).project(g))
    torch.set_num_threads(before)
    assert torch.allclose(*results, atol=1e-5 * results[0].abs().max())
