"""Scores of `ekfac` without a projection and without a kernel, against kronfluence's EK-FAC by rank.

Both see the same pseudo-targets, training losses and queries, without damping to speak of. The factors differ by
definition: its factors are of inputs and output gradients of a layer, ours of its weight gradients, and our eigenvalues
come from rows of their own. So scores are compared by rank, and both with the exact inverse of the same Fisher matrix.
"""

import numpy as np
import pytest
import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from scipy.stats import spearmanr
from torch import nn
from torch.utils.data import TensorDataset

from waypoint.science import curvature

TRAIN, QUERIES, ROWS, D = 60, 6, 1500, 25
DAMPING = 1e-3  # of the mean eigenvalue


def network():
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in ((1, 4), (4, 4), (4, 1))]
    return nn.Sequential(convolutions[0], nn.SiLU(), convolutions[1], nn.SiLU(), convolutions[2])


def images(n, seed):
    """Inputs (n, 1, 5, 5) of very unequal scales, and noises to predict or pseudo-targets of the same shape."""
    generator = torch.Generator().manual_seed(seed)
    smooth = torch.randn(n, 1, 5, 5, generator=generator).cumsum(2).cumsum(3) / 5
    return smooth, torch.randn(n, 1, 5, 5, generator=generator)


class Denoising(Task):
    """The loss whose gradient is ours: half the mean square, with pseudo-targets net(x) + v for the Fisher matrix."""

    def compute_train_loss(self, batch, model, sample=False):
        x, target = batch
        found = model(x)
        if sample:
            target = (found + target).detach()
        return 0.5 * (found - target).square().sum() / (D if not sample else 1)

    def compute_measurement(self, batch, model):
        return self.compute_train_loss(batch, model)


def gradients(net, x, vectors):
    """∇_θ ⟨net(x), v⟩ for every example, (n, p)."""
    rows = []
    for image, v in zip(x, vectors):
        found = torch.autograd.grad((net(image[None]) * v).sum(), [*net.parameters()])
        rows.append(torch.cat([part.flatten() for part in found]))
    return torch.stack(rows)


def loss_gradients(net, x, target):
    with torch.no_grad():
        residual = (net(x) - target) / D
    return gradients(net, x, residual)


def ours(net, train, queries, first, second):
    """φᵀ (Q Λ Qᵀ + λ)⁻¹ g for every query and training image, and λ."""
    shapes = {name: tuple(q.shape) for name, q in net.named_parameters()}
    matrices = curvature.factored_matrices(shapes, ROWS, 100)
    assert all(matrix.column_blocks for matrix in matrices)  # nothing is whitened by its diagonal
    found = curvature.estimate(matrices, [first], [second])
    whitening = found.whitening(DAMPING)
    scores = whitening.whiten(loss_gradients(net, *queries)) @ whitening.whiten(loss_gradients(net, *train)).T
    return scores.numpy(), found.strength(DAMPING)


def kronfluences(net, train, queries, pseudo, strength, folder):
    task = Denoising()
    analyzer = Analyzer("test", prepare_model(net, task), task, cpu=True, output_dir=str(folder), disable_tqdm=True)
    settings = FactorArguments(strategy="ekfac", use_empirical_fisher=False)
    analyzer.fit_all_factors("f", TensorDataset(*pseudo), per_device_batch_size=100, factor_args=settings)
    analyzer.compute_pairwise_scores(
        "s",
        "f",
        query_dataset=TensorDataset(*queries),
        train_dataset=TensorDataset(*train),
        per_device_query_batch_size=QUERIES,
        per_device_train_batch_size=20,
        score_args=ScoreArguments(damping_factor=strength),
    )
    return analyzer.load_pairwise_scores("s")["all_modules"].numpy()


def agreement(a, b):
    return np.array([spearmanr(x, y).statistic for x, y in zip(a, b)])


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    net = network()
    train, queries, pseudo = images(TRAIN, 1), images(QUERIES, 2), images(ROWS, 3)
    first, second = gradients(net, *pseudo), gradients(net, *images(ROWS, 4))
    own, strength = ours(net, train, queries, first, second)
    theirs = kronfluences(network(), train, queries, pseudo, strength, tmp_path_factory.mktemp("kronfluence"))
    fisher = second.double().T @ second.double() / ROWS + strength * torch.eye(second.shape[1], dtype=torch.float64)
    g, phi = loss_gradients(net, *queries).double(), loss_gradients(net, *train).double()
    exact = (g @ torch.linalg.solve(fisher, phi.T)).numpy()
    return own, theirs, exact, (g @ phi.T).numpy()


def test_scores_rank_images_as_kronfluences_do(scores):
    own, theirs, _, _ = scores
    assert own.shape == theirs.shape == (QUERIES, TRAIN)
    assert (agreement(own, theirs) > 0.8).all()


def test_both_come_nearer_to_the_exact_inverse_than_no_curvature_does(scores):
    own, theirs, exact, plain = scores
    assert agreement(own, exact).mean() > agreement(plain, exact).mean() + 0.1
    assert agreement(own, exact).mean() > agreement(theirs, exact).mean() - 0.05
