"""Kernel and scores against explicit matrices; the two forms agree; errors name the key."""

import weakref

import numpy as np
import pytest

from waypoint.errors import WaypointError
from waypoint.science.kernel import factor, gathered, gram, one_block, scores, side_by_side, solve


def blocks_of(phi, size):
    def blocks(each=lambda rows: rows):
        return ((start, each(phi[start : start + size])) for start in range(0, len(phi), size))

    return blocks


def explicit(phi, g, damping):
    """Line 17 as printed, in float64 with an explicit inverse."""
    phi = phi.astype(np.float64)
    kernel = phi.T @ phi
    kernel += damping * np.trace(kernel) / min(phi.shape) * np.eye(phi.shape[1])
    return g.astype(np.float64) @ np.linalg.inv(kernel).T @ phi.T


@pytest.mark.parametrize("n,d", [(30, 8), (8, 8), (9, 30)], ids=["primal", "square", "dual"])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_scores_equal_the_explicit_formula(n, d, size):
    rng = np.random.default_rng(0)
    phi, g = rng.standard_normal((n, d)), rng.standard_normal((3, d))
    blocks = blocks_of(phi, size)
    lower, _ = factor(gram(blocks, n, d), n, d, 0.05)
    expected = explicit(phi, g, 0.05)
    assert np.abs(gathered(scores(blocks, n, d, one_block(lower), g)) - expected).max() <= 1e-9 * np.abs(expected).max()


@pytest.mark.parametrize("n,d", [(300, 80), (90, 300)], ids=["primal", "dual"])
def test_scores_of_float32_features_have_their_precision(n, d):
    """K⁻¹g is float64; only its product with Φ is rounded: within 1e-6 of |φ| |K⁻¹g|, d terms long."""
    rng = np.random.default_rng(0)
    phi, g = rng.standard_normal((n, d)).astype(np.float32), rng.standard_normal((3, d)).astype(np.float32)
    blocks = blocks_of(phi, 64)
    matrix = gram(blocks, n, d)
    lower, strength = factor(matrix, n, d, 0.05)
    right = np.linalg.solve(phi.T.astype(float) @ phi + strength * np.eye(d), g.T.astype(float))
    bound = 1e-6 * np.linalg.norm(right, axis=0)[:, None] * np.linalg.norm(phi, axis=1)
    assert (np.abs(gathered(scores(blocks, n, d, one_block(lower), g)) - explicit(phi, g, 0.05)) <= bound).all()
    assert np.abs(matrix - (phi.T.astype(float) @ phi if n >= d else phi.astype(float) @ phi.T)).max() < 1e-10 * n


@pytest.mark.parametrize("size", [1, 3, 7, 12, 100])
def test_a_factor_in_blocks_solves_as_a_whole_one_does(size):
    rng = np.random.default_rng(0)
    half, right = rng.standard_normal((12, 12)), rng.standard_normal((12, 3))
    matrix = half @ half.T + np.eye(12)
    lower = np.linalg.cholesky(matrix)
    assert np.allclose(solve(blocks_of(lower, size), right), np.linalg.solve(matrix, right), rtol=1e-9)


@pytest.mark.parametrize("n,d", [(30, 8), (9, 30)], ids=["primal", "dual"])
def test_factors_are_not_held_while_blocks_are_read(n, d):
    """A pass over many checkpoints has all their scores open at once; their factors would fill the memory."""
    phi = np.random.default_rng(5).standard_normal((n, d))
    lower, _ = factor(gram(blocks_of(phi, 4), n, d), n, d, 0.1)
    lower = lower.copy()
    held = weakref.ref(lower)
    parts = scores(blocks_of(phi, 4), n, d, one_block(lower), np.ones((2, d)))
    del lower
    assert held() is None
    assert gathered(parts).shape == (2, n)


@pytest.mark.parametrize("sizes", [(3, 8), (8, 3, 20), (1, 20), (7,)])
def test_passes_side_by_side_are_cut_alike(sizes):
    taus = [np.random.default_rng(m).standard_normal((2, 20)) for m in range(len(sizes))]
    passes = [[(at, tau[:, at : at + b]) for at in range(0, 20, b)] for tau, b in zip(taus, sizes, strict=True)]
    end = 0
    for start, parts in side_by_side(passes):
        assert start == end and len({part.shape for part in parts}) == 1
        end += parts[0].shape[1]
        for part, tau in zip(parts, taus, strict=True):
            assert np.array_equal(part, tau[:, start:end])
    assert end == 20


def test_blocks_of_scores_say_where_they_start():
    phi, g = np.random.default_rng(4).standard_normal((10, 3)), np.ones((2, 3))
    lower, _ = factor(gram(blocks_of(phi, 4), 10, 3), 10, 3, 0.1)
    parts = list(scores(blocks_of(phi, 4), 10, 3, one_block(lower), g))
    assert [(start, tau.shape) for start, tau in parts] == [(0, (2, 4)), (4, (2, 4)), (8, (2, 2))]


@pytest.mark.parametrize("n,d", [(30, 8), (9, 30)])
def test_dual_and_primal_agree(n, d):
    """Both forms of the same Φ, each forced by hand, give the same scores with the same λ."""
    rng = np.random.default_rng(1)
    phi, g = rng.standard_normal((n, d)), rng.standard_normal((2, d))
    strength = 0.1 * np.trace(phi.T @ phi) / min(n, d)
    primal = g @ np.linalg.solve(phi.T @ phi + strength * np.eye(d), phi.T)
    dual = np.linalg.solve(phi @ phi.T + strength * np.eye(n), phi @ g.T).T
    lower, used = factor(gram(blocks_of(phi, 7), n, d), n, d, 0.1)
    ours = gathered(scores(blocks_of(phi, 7), n, d, one_block(lower), g))
    assert np.isclose(used, strength)
    assert np.allclose(ours, primal, rtol=1e-9) and np.allclose(ours, dual, rtol=1e-9)


def test_zero_damping_is_the_papers_formula():
    rng = np.random.default_rng(2)
    phi, g = rng.standard_normal((40, 6)), rng.standard_normal((2, 6))
    lower, strength = factor(gram(blocks_of(phi, 40), 40, 6), 40, 6, 0)
    assert strength == 0
    expected = g @ np.linalg.inv(phi.T @ phi) @ phi.T
    assert np.allclose(gathered(scores(blocks_of(phi, 40), 40, 6, one_block(lower), g)), expected)


def test_scale_of_features_only_scales_scores():
    """λ is relative, so one damping means the same at every scale of the loss."""
    rng = np.random.default_rng(3)
    phi, g = rng.standard_normal((20, 5)), rng.standard_normal((1, 5))

    def run(c):
        lower, _ = factor(gram(blocks_of(c * phi, 20), 20, 5), 20, 5, 0.3)
        return gathered(scores(blocks_of(c * phi, 20), 20, 5, one_block(lower), c * g))

    assert np.allclose(run(1.0), run(1e-3), rtol=1e-9)


def test_zero_damping_with_too_few_images_names_the_key():
    with pytest.raises(WaypointError, match=r"kernel\.damping.*N = 3 < d = 5"):
        factor(np.eye(3), 3, 5, 0)


def test_singular_kernel_names_the_key():
    phi = np.repeat(np.random.default_rng(0).standard_normal((10, 1)), 4, axis=1)
    with pytest.raises(WaypointError, match=r"kernel\.damping: 0 leaves the 4 × 4 kernel singular"):
        factor(gram(blocks_of(phi, 10), 10, 4), 10, 4, 0)
