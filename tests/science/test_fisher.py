"""Fisher rows and the kernel from them: draws by key, rows against explicit Jacobians, a model whose truth is known."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.stats import spearmanr

from waypoint.errors import WaypointError
from waypoint.science import curvature, fisher, fisher_kernel, kernel

KEY = (0, fisher.KERNEL, "full/0")
OTHER_KEYS = [
    (1, *KEY[1:]),
    (0, fisher.EIGENVECTORS, "full/0"),
    (0, fisher.EIGENVALUES, "full/0"),
    (*KEY[:2], "full/1"),
]


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def in_blocks(rows, size=7):
    def blocks(each=lambda part: part):
        return ((start, each(rows[start : start + size])) for start in range(0, len(rows), size))

    return blocks


# ---- draws


@pytest.mark.parametrize("rows,images", [(5, 20), (20, 20), (53, 20)])
def test_every_image_has_its_turn_before_any_has_another(rows, images):
    found = fisher.row_images(*KEY, rows, images)
    assert found.shape == (rows,)
    for start in range(0, rows, images):
        cycle = found[start : start + images]
        assert len(set(cycle)) == len(cycle) and set(cycle) <= set(range(images))
    if rows > 2 * images:
        assert not np.array_equal(found[:images], found[images : 2 * images])


@pytest.mark.parametrize("rows,T", [(512, 1000), (7, 1000), (30, 10)])
def test_steps_have_one_row_in_every_part_and_no_order(rows, T):
    found = fisher.row_steps(*KEY, rows, T)
    assert found.min() >= 0 and found.max() <= T - 1
    ordered = np.sort(found)
    assert (ordered >= np.floor(np.arange(rows) * T / rows)).all()
    assert (ordered <= np.ceil(np.arange(1, rows + 1) * T / rows) - 1).all()
    assert not np.array_equal(found, ordered)


def test_steps_of_any_one_row_are_uniform():
    """Over seeds, at row 3 of 8; every step, the first and last too, is as probable as the others."""
    found = [fisher.row_steps(seed, *KEY[1:], 8, 20)[3] for seed in range(4000)]
    assert stats.chisquare(np.bincount(found, minlength=20)).pvalue > 1e-3


def test_noise_and_pseudo_targets_are_independent_normals():
    drawn = torch.stack([torch.stack(fisher.row_noise(*KEY, row, (2, 5, 5))) for row in range(400)])
    flat = drawn.flatten(2).numpy().astype(float)
    assert stats.kstest(flat.ravel(), "norm").pvalue > 1e-3
    epsilon, v = flat[:, 0].ravel(), flat[:, 1].ravel()
    assert abs(np.corrcoef(epsilon, v)[0, 1]) < 4 / len(v) ** 0.5
    assert abs(np.corrcoef(v[:-50], v[50:])[0, 1]) < 4 / len(v) ** 0.5  # from one row to the next


@pytest.mark.parametrize("other", OTHER_KEYS)
def test_draws_depend_on_every_part_of_their_key_and_on_nothing_else(other):
    def all_of(key):
        return (
            fisher.row_images(*key, 30, 50),
            fisher.row_steps(*key, 30, 1000),
            *(noise.numpy() for noise in fisher.row_noise(*key, 3, (1, 4, 4))),
        )

    for one, again, changed in zip(all_of(KEY), all_of(KEY), all_of(other)):
        assert np.array_equal(one, again) and not np.array_equal(one, changed)
    assert not torch.equal(fisher.row_noise(*KEY, 4, (1, 4, 4))[1], fisher.row_noise(*KEY, 3, (1, 4, 4))[1])


# ---- rows


def tiny_network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.Tanh(), torch.nn.Conv2d(2, 1, 1))


def flat_gradient(value, model):
    gradients = torch.autograd.grad(value, list(model.parameters()), retain_graph=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


def test_a_row_is_the_jacobian_applied_to_its_pseudo_target():
    """u = Jᵀv/√D, for a Jacobian written down output by output; rows of a batch do not mix."""
    model, x = tiny_network(), torch.from_numpy(numbers(2, 1, 4, 4)).float()
    v = torch.stack([fisher.row_noise(*KEY, row, (1, 4, 4))[1] for row in range(2)])
    jacobian = torch.stack([flat_gradient(out, model) for out in model(x[:1]).flatten()])  # (16, p)
    losses = fisher.row_loss(model(x), v)
    assert losses.shape == (2,)
    assert torch.allclose(flat_gradient(losses[0], model), jacobian.T @ v[0].flatten() / 4, atol=1e-5)


def test_rows_have_the_fisher_matrix_of_the_output_as_their_second_moment():
    """E[u uᵀ] = JᵀJ/D, half the Gauss–Newton matrix of the mean square, within the error of 4,000 draws."""
    model, x = tiny_network(), torch.from_numpy(numbers(1, 1, 4, 4)).float()
    jacobian = torch.stack([flat_gradient(out, model) for out in model(x).flatten()]).double()
    v = torch.cat([fisher.row_noise(*KEY, row, (1, 4, 4))[1] for row in range(4000)]).flatten(1).double()
    u = v @ jacobian / 4
    error = u.T @ u / 4000 - jacobian.T @ jacobian / 16
    assert error.norm() < 0.1 * (jacobian.T @ jacobian / 16).norm()
    # row_loss says the same of one of them
    loss = fisher.row_loss(model(x), v[:1].float().unflatten(1, (1, 4, 4)))
    assert torch.allclose(flat_gradient(loss.sum(), model).double(), u[0], atol=1e-5)


# ---- the kernel


def explicit(u, phi, g, damping):
    """φᵀK⁻¹g with K = UᵀU/R + δ (trace/dim) I, as DESIGN has it."""
    k = u.T @ u / len(u)
    k = k + damping * np.trace(k) / len(k) * np.eye(len(k))
    return g @ np.linalg.solve(k, phi.T)


def scored(u, phi, g, damping, size=7):
    blocks, shape = in_blocks(u, size), u.shape
    lower, strength = fisher_kernel.factor(fisher_kernel.gram(blocks, *shape), *shape, damping)
    solved = fisher_kernel.solve(blocks, *shape, in_blocks(lower, size), strength, g)
    return np.concatenate([tau for _, tau in fisher_kernel.scores(in_blocks(phi, size), solved)], 1)


@pytest.mark.parametrize("rows,dim", [(40, 9), (9, 9), (9, 40)], ids=["primal", "square", "dual"])
@pytest.mark.parametrize("damping", [1e-3, 3.0])
def test_scores_equal_the_explicit_formula(rows, dim, damping):
    u, phi, g = numbers(rows, dim), numbers(25, dim, seed=1), numbers(3, dim, seed=2)
    expected = explicit(u, phi, g, damping)
    for size in (1, 7, 100):
        assert np.abs(scored(u, phi, g, damping, size) - expected).max() < 1e-9 * np.abs(expected).max()


def test_dual_equals_primal():
    """The same rows, with and without coordinates that are zero in all of them, for which the other form is taken."""
    u, phi, g = numbers(30, 20), numbers(25, 20, seed=1), numbers(3, 20, seed=2)
    wide = [np.pad(rows, ((0, 0), (0, 20))) for rows in (u, phi, g)]
    primal, dual = scored(u, phi, g, 0.1), scored(*wide, 0.2)  # trace/dim is half of it
    assert np.abs(primal - dual).max() < 1e-9 * np.abs(primal).max()


@pytest.mark.parametrize("columns", [3, 4096])
def test_the_dual_gram_matrix_is_explicit_whatever_its_panels(columns, monkeypatch):
    monkeypatch.setattr(fisher_kernel, "COLUMNS", columns)
    u = numbers(9, 40).astype(np.float32)
    found = fisher_kernel.gram(in_blocks(u), 9, 40)
    assert np.allclose(found, u.astype(float) @ u.T.astype(float), rtol=1e-12) and np.array_equal(found, found.T)


def test_more_of_the_same_rows_change_nothing():
    """K is a mean over rows: unlike TRAK's sum it does not grow with them, nor do the scores shrink."""
    u, phi, g = numbers(30, 8), numbers(25, 8, seed=1), numbers(3, 8, seed=2)
    assert np.allclose(scored(u, phi, g, 0.1), scored(np.tile(u, (4, 1)), phi, g, 0.1), rtol=1e-9)


def test_float32_features_give_scores_of_their_precision():
    u, phi, g = numbers(90, 30), numbers(25, 30, seed=1).astype(np.float32), numbers(3, 30, seed=2)
    found, expected = scored(u, phi, g, 0.1), explicit(u, phi.astype(float), g, 0.1)
    assert found.dtype == np.float32 and np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_zero_damping_needs_as_many_rows_as_dimensions():
    u, phi, g = numbers(40, 9), numbers(25, 9, seed=1), numbers(3, 9, seed=2)
    assert np.allclose(scored(u, phi, g, 0), explicit(u, phi, g, 0), rtol=1e-9)
    with pytest.raises(WaypointError, match=r"damping of 0 needs .* here are 8 rows and 9 dimensions"):
        scored(u[:8], phi, g, 0)
    with pytest.raises(WaypointError, match=r"kernel\.damping: 0 leaves the 9 × 9 kernel singular"):
        scored(np.repeat(u[:, :3], 3, axis=1), phi, g, 0)
    with pytest.raises(WaypointError, match=r"kernel\.damping: -0\.1"):
        scored(u, phi, g, -0.1)


# ---- a linear model whose influence is known


class LinearModel:
    """y = W x + noise, trained by least squares: any set of examples has its model in closed form.

    The noise of the first output is 5 times that of the others, and grows with one coordinate of x: gradients of the
    loss vary where residuals do, the output where inputs do.
    """

    def __init__(self, n=1000, inputs=6, outputs=3):
        random = np.random.default_rng(0)
        self.x = random.standard_normal((n, inputs)) * np.logspace(0, -1, inputs)
        sd = 0.03 * np.array([5, 1, 1]) * np.exp(self.x[:, :1])
        self.y = self.x @ random.standard_normal((inputs, outputs)) + sd * random.standard_normal((n, outputs))
        self.targets = random.standard_normal((8, inputs)) * np.logspace(0, -1, inputs)
        self.truths = self.targets @ self.trained(np.arange(n)) + random.standard_normal((8, outputs))
        self.random = random

    def trained(self, rows):
        """W (inputs, outputs) of these examples."""
        return np.linalg.lstsq(self.x[rows], self.y[rows], rcond=None)[0]

    def losses(self, w):
        """Mean squared error over outputs, of each of the targets: (8,)."""
        return ((self.truths - self.targets @ w) ** 2).mean(1)

    def gradients(self, x, y, w):
        """∇_W of the mean squared error of each example: (n, inputs × outputs)."""
        return (x[:, :, None] * (-2 * (y - x @ w) / y.shape[1])[:, None]).reshape(len(x), -1)

    def rows(self, count):
        """Fisher rows: ∇_W ⟨W x, v⟩ / √D = x vᵀ / √D."""
        images = fisher.row_images(0, fisher.KERNEL, "full/0", count, len(self.x))
        v = self.random.standard_normal((count, self.y.shape[1]))
        return (self.x[images, :, None] * v[:, None]).reshape(count, -1) / v.shape[1] ** 0.5

    def lds(self, score):
        """Mean over targets of LDS: score (8, n) against what training on 100 random halves gives."""
        random, n = np.random.default_rng(1), len(self.x)
        halves = [random.permutation(n)[: n // 2] for _ in range(100)]
        outputs = -np.stack([self.losses(self.trained(half)) for half in halves])
        predicted = np.stack([score[:, half].sum(1) for half in halves])
        return np.mean([spearmanr(a, b).statistic for a, b in zip(predicted.T, outputs.T)])


def test_scores_predict_retraining_a_linear_model_where_traks_kernel_does_not():
    """The loss is quadratic, so the Fisher matrix is its curvature and scores are exact but for higher orders."""
    model = LinearModel()
    w = model.trained(np.arange(len(model.x)))
    phi = model.gradients(model.x, model.y, w)
    g = model.gradients(model.targets, model.truths, w)
    with_fisher = scored(model.rows(4000), phi, g, 1e-6, 500)
    lower, _ = kernel.factor(kernel.gram(in_blocks(phi), *phi.shape), *phi.shape, 1e-6)
    with_trak = kernel.gathered(kernel.scores(in_blocks(phi), *phi.shape, kernel.one_block(lower), g))
    assert model.lds(with_fisher) > 0.97  # 0.984; with the exact matrix 0.994
    assert model.lds(with_trak) < model.lds(with_fisher) - 0.4  # 0.39


def test_whitened_gradients_alone_predict_retraining_a_linear_model():
    """`ekfac` with the kernel left out: W∇L_i · W∇f. The true Fisher matrix is a Kronecker product, as it supposes."""
    model = LinearModel()
    w = model.trained(np.arange(len(model.x)))
    matrices = curvature.factored_matrices({"w": w.shape}, 4000, 100)
    first, second = (torch.from_numpy(model.rows(4000)).float() for _ in range(2))
    whitening = curvature.estimate(matrices, [first], [second]).whitening(1e-6)
    phi, g = (
        whitening.whiten(torch.from_numpy(model.gradients(*side, w)).float()).numpy()
        for side in ((model.x, model.y), (model.targets, model.truths))
    )
    assert model.lds(g @ phi.T) > 0.97  # 0.993


def test_leaving_an_example_out_changes_the_loss_as_its_score_says():
    """The sign: removing an example with a positive score raises the targets' losses, in proportion."""
    model = LinearModel()
    everything = np.arange(len(model.x))
    w = model.trained(everything)
    score = scored(
        model.rows(4000), model.gradients(model.x, model.y, w), model.gradients(model.targets, model.truths, w), 1e-6
    )
    extreme = [*score[0].argsort()[:5], *score[0].argsort()[-5:]]
    changes = [model.losses(model.trained(np.delete(everything, i)))[0] - model.losses(w)[0] for i in extreme]
    assert np.array_equal(np.sign(changes), np.sign(score[0, extreme]))
    assert np.corrcoef(changes, score[0, extreme])[0, 1] > 0.95
