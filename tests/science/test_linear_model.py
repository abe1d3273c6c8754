"""A model whose influences are known: linear regression, retrained in closed form on random halves.

Its Hessian is the Fisher matrix of the output, so that scores with a Fisher kernel predict retraining nearly perfectly.
TRAK's kernel weights every image by its squared residual, which here grows in one direction: it does not.
"""

import numpy as np
import pytest
import torch

from waypoint.science import fisher_kernel
from waypoint.science.curvature import estimate, factored_matrices
from waypoint.science.evaluation import lds
from waypoint.science.kernel import factor, gathered, gram, one_block, scores

N, P, ROWS, SUBSETS, TARGETS, STEPS = 2000, 6, 20_000, 200, 5, 3


@pytest.fixture(scope="module")
def problem():
    """Φ (N, p), g (target × step, p), Fisher rows (R, p), subsets (J, N) and −f (target, step, J, 1)."""
    random = np.random.default_rng(0)
    scale = np.geomspace(1, 0.1, P)
    x = random.standard_normal((N, P)) * scale
    theta = random.standard_normal(P)
    y = x @ theta + random.standard_normal(N) * (0.05 + 3 * x[:, 0] ** 2)
    asked = random.standard_normal((TARGETS * STEPS, P)) * scale
    answers = asked @ theta + 30 * random.standard_normal(TARGETS * STEPS)  # far off: f is nearly linear in θ

    def solved(rows):
        return np.linalg.lstsq(x[rows], y[rows], rcond=None)[0]

    full = solved(np.arange(N))
    phi = 2 * (x @ full - y)[:, None] * x
    g = 2 * (asked @ full - answers)[:, None] * asked
    u = x[random.integers(N, size=ROWS)] * random.standard_normal(ROWS)[:, None]
    subsets = np.array([np.isin(np.arange(N), random.permutation(N)[: N // 2]) for _ in range(SUBSETS)])
    outputs = np.array([-((asked @ solved(np.flatnonzero(subset)) - answers) ** 2) for subset in subsets])
    return [a.astype(np.float32) for a in (phi, g, u)], subsets, outputs.T.reshape(TARGETS, STEPS, SUBSETS, 1)


def found(problem, tau):
    _, subsets, outputs = problem
    return lds.lds(lds.predictions(subsets, tau.reshape(TARGETS, STEPS, N)), outputs).mean()


def with_fisher(phi, g, u, damping):
    rows = one_block(u)
    lower, strength = fisher_kernel.factor(fisher_kernel.gram(rows, *u.shape), *u.shape, damping)
    return gathered(
        fisher_kernel.scores(one_block(phi), fisher_kernel.solve(rows, *u.shape, one_block(lower), strength, g))
    )


def test_scores_with_the_fisher_matrix_predict_retraining_and_traks_do_not(problem):
    phi, g, u = problem[0]
    lower, _ = factor(gram(one_block(phi), N, P), N, P, 1e-6)
    trak = found(problem, gathered(scores(one_block(phi), N, P, one_block(lower), g)))
    fisher = found(problem, with_fisher(phi, g, u, 1e-6))
    assert fisher > 0.93 and trak < fisher - 0.1, (fisher, trak)


def test_whitened_gradients_do_too(problem):
    """One tensor of 1 × p: its factor is the Fisher matrix itself."""
    phi, g, u = (torch.from_numpy(a) for a in problem[0])
    curvature = estimate(factored_matrices({"theta": (P,)}, ROWS // 2, 64), [u[: ROWS // 2]], [u[ROWS // 2 :]])
    W = curvature.whitening(1e-6)
    bare = (W.whiten(g) @ W.whiten(phi).T).numpy()
    refined = with_fisher(W.whiten(phi).numpy(), W.whiten(g).numpy(), W.whiten(u).numpy(), 0.03)
    exact = found(problem, with_fisher(*problem[0], 1e-6))
    for tau in (bare, refined):
        assert found(problem, tau) == pytest.approx(exact, abs=0.02)
