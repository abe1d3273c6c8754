"""The linear datamodeling score: by hand, against scipy and loops, on models whose truth is known, by simulation."""

import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr

from waypoint.science import kernel
from waypoint.science.evaluation import lds
from waypoint.science.evaluation.subsets import subset_rows
from waypoint.science.random_streams import numpy_stream


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def halves(count, n, seed=0):
    """Masks (count, n) of random halves, as the workflow draws them."""
    masks = np.zeros((count, n), bool)
    for j, mask in enumerate(masks):
        mask[subset_rows(seed, j, n, 0.5)] = True
    return masks


# ---- by hand


def test_by_hand():
    """Four subsets of four images; Σd² = 2 of the ranks gives 1 − 6·2/(4·15) = 0.8."""
    masks = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 1]], bool)
    score = np.array([[4.0, 3.0, 1.0, 0.5]])
    predicted = lds.predictions(masks, score)
    assert predicted.tolist() == [[7.0, 5.0, 3.5, 1.5]]
    two_models = np.array([[[0.0, 2.0], [3.0, 1.0], [0.5, 0.1], [0.1, 0.1]]])  # means 1, 2, 0.3, 0.1: ranks 3 4 2 1
    assert lds.lds(predicted, two_models) == pytest.approx([0.8])


def test_predictions_are_explicit_sums_at_every_step():
    masks, score = halves(7, 30), numbers(3, 30).astype(np.float32)
    found = lds.predictions(masks, score)
    assert found.shape == (3, 7) and found.dtype == np.float64
    for s, j in itertools.product(range(3), range(7)):
        expected = sum(float(score[s, i]) for i in range(30) if masks[j, i])
        assert abs(found[s, j] - expected) < 1e-12


# ---- Spearman's correlation


@pytest.mark.parametrize("seed", range(40))
def test_spearman_is_scipys(seed):
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 4, size=seed % 3)) + (int(random.integers(3, 40)),)
    a, b = random.standard_normal(shape), random.standard_normal(shape)
    if seed % 2:  # ties
        a, b = a.round(0), (b + a).round(0)
    found = lds.spearman(a, b)
    assert found.shape == shape[:-1]
    for where in np.ndindex(shape[:-1]):
        if np.ptp(a[where]) and np.ptp(b[where]):
            assert abs(found[where] - spearmanr(a[where], b[where]).statistic) < 1e-12
        else:
            assert np.isnan(found[where])


def test_spearman_of_a_constant_is_nan_and_no_warning(recwarn):
    a = numbers(9)
    for constant in (np.zeros(9), np.full(9, 0.1)):
        assert np.isnan(lds.spearman(a, constant)) and np.isnan(lds.spearman(constant, a))
        assert np.isnan(lds.spearman(constant, constant))
    assert not recwarn.list


@pytest.mark.parametrize("value", [1.0, 0.1, -3e-5, 1e6])
def test_a_constant_score_predicts_nothing(value):
    """Its sums over subsets of one size must be equal to the last bit: else LDS would rank rounding errors."""
    predicted = lds.predictions(halves(50, 501), np.full((1, 501), value, np.float32))
    assert np.isnan(lds.lds(predicted, numbers(1, 50, 2))).all()


def test_nan_stays_where_it_is(recwarn):
    a, b = numbers(2, 9), numbers(2, 9, seed=1)
    a[0, 3] = np.nan
    found = lds.spearman(a, b)
    assert np.isnan(found[0]) and abs(found[1] - spearmanr(a[1], b[1]).statistic) < 1e-12
    assert not recwarn.list


def test_only_the_order_counts():
    a, b = numbers(20), numbers(20, seed=1)
    assert lds.spearman(np.exp(a), b**3) == lds.spearman(a, b) == -lds.spearman(-a, b)


# ---- models whose truth is known


def test_outputs_that_are_sums_of_effects_give_one():
    effect, masks = numbers(1, 40), halves(30, 40)
    outputs = np.array([sum(effect[0, i] for i in range(40) if mask[i]) for mask in masks])[None, :, None]
    assert lds.lds(lds.predictions(masks, effect), outputs) == pytest.approx([1.0])
    assert lds.lds(lds.predictions(masks, -effect), outputs) == pytest.approx([-1.0])


class Ridge:
    """Linear regression, L_i(θ) = (x_iᵀθ − y_i)², retrained by an explicit solve; f is the loss of one target."""

    def __init__(self, n=200, d=4, ridge=1e-3):
        self.x, self.x_target, self.y_target = numbers(n, d), numbers(d, seed=1), 5.0
        self.y = self.x @ numbers(d, seed=2) + numbers(n, seed=3)
        self.ridge = ridge

    def train(self, rows):
        x, y = self.x[rows], self.y[rows]
        return np.linalg.solve(x.T @ x + self.ridge * np.eye(x.shape[1]), x.T @ y)

    def f(self, theta):
        return (self.x_target @ theta - self.y_target) ** 2

    def scores(self):
        """TRAK with φ_i = ∇L_i and g = ∇f, from the library's kernel: (1, n)."""
        theta, (n, d) = self.train(np.arange(len(self.x))), self.x.shape
        phi = 2 * self.x * (self.x @ theta - self.y)[:, None]
        g = 2 * self.x_target * (self.x_target @ theta - self.y_target)
        blocks = kernel.one_block(phi)
        lower, _ = kernel.factor(kernel.gram(blocks, n, d), n, d, 0)
        return kernel.gathered(kernel.scores(blocks, n, d, kernel.one_block(lower), g[None]))


def test_scores_of_the_kernel_predict_retrained_regressions():
    """The sign: a positive score lowers the loss f, so it predicts −f, and +f would give the opposite."""
    model, masks = Ridge(), halves(150, 200)
    f = np.array([model.f(model.train(mask)) for mask in masks])[None, :, None]
    predicted = lds.predictions(masks, model.scores())
    assert lds.lds(predicted, -f)[0] > 0.9
    assert lds.lds(predicted, f)[0] < -0.9
    assert lds.lds(lds.predictions(masks, -model.scores()), -f)[0] < -0.9


def test_the_single_image_with_the_highest_score_lowers_the_loss_most():
    model = Ridge()
    score, everything = model.scores()[0], np.arange(200)
    change = [model.f(model.train(np.delete(everything, i))) - model.f(model.train(everything)) for i in everything]
    assert spearmanr(score, change).statistic > 0.95
    assert change[np.argmax(score)] > 0 > change[np.argmin(score)]


# ---- what retraining itself would score


def retrain_loops(outputs):
    """(J, R): each model against the mean of the others."""
    models = outputs.shape[1]
    rest = [np.mean([outputs[:, q] for q in range(models) if q != r], 0) for r in range(models)]
    return np.mean([spearmanr(outputs[:, r], rest[r]).statistic for r in range(models)])


def agreement_loops(outputs):
    pairs = itertools.combinations(range(outputs.shape[1]), 2)
    return np.mean([spearmanr(outputs[:, r], outputs[:, q]).statistic for r, q in pairs])


@pytest.mark.parametrize("models", [2, 3, 5])
def test_references_against_loops(models):
    outputs = numbers(2, 3, 12, models) + numbers(2, 3, 12, 1, seed=1)
    retrain, rho = lds.retrain(outputs), lds.agreement(outputs)
    assert retrain.shape == rho.shape == (2, 3)
    for where in np.ndindex(2, 3):
        assert abs(retrain[where] - retrain_loops(outputs[where])) < 1e-12
        assert abs(rho[where] - agreement_loops(outputs[where])) < 1e-12


def test_of_two_models_retrain_is_the_agreement():
    outputs = numbers(15, 2)
    assert lds.retrain(outputs) == pytest.approx(lds.agreement(outputs))


def test_one_model_per_subset_has_no_references():
    assert lds.retrain(numbers(9, 1)) is None and lds.agreement(numbers(9, 1)) is None


def spearman_of_normals(r):
    """Spearman's correlation of two normal variables whose Pearson correlation is r."""
    return 6 / np.pi * np.arcsin(r / 2)


@pytest.mark.parametrize("models", [2, 5])
@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_references_of_a_known_signal_to_noise_ratio(models, noise):
    """Outputs = signal + noise; a perfect predictor knows the signal. Its correlation with the mean of R models
    is 1/√(1 + noise²/R), that of two models 1/(1 + noise²), of one with the others' mean the geometric mean."""
    J = 100_000
    signal = numbers(J)
    outputs = signal[:, None] + noise * numbers(J, models, seed=1)
    rho = lds.agreement(outputs)
    assert abs(rho - spearman_of_normals(1 / (1 + noise**2))) < 0.01
    one_with_rest = 1 / np.sqrt((1 + noise**2) * (1 + noise**2 / (models - 1)))
    assert abs(lds.retrain(outputs) - spearman_of_normals(one_with_rest)) < 0.01
    perfect = lds.lds(signal, outputs)
    assert abs(perfect - spearman_of_normals(1 / np.sqrt(1 + noise**2 / models))) < 0.01
    # the formula holds for Pearson's correlation; for Spearman's of normal variables to within 0.03
    assert abs(lds.ceiling(rho, models) - perfect) < 0.03
    exact = 1 / (1 + noise**2)
    assert lds.ceiling(exact, models) == pytest.approx(1 / np.sqrt(1 + noise**2 / models))


def test_ceiling_by_hand():
    assert lds.ceiling(0.5, 2) == pytest.approx(np.sqrt(1 / 1.5))
    assert lds.ceiling(0.2, 5) == pytest.approx(np.sqrt(1 / 1.8))
    assert lds.ceiling(1.0, 3) == pytest.approx(1.0) and lds.ceiling(0.36, 1) == pytest.approx(0.6)


def test_there_is_no_ceiling_without_agreement(recwarn):
    found = lds.ceiling(np.array([0.0, -0.3, np.nan, 0.25]), 4)
    assert np.isnan(found[:3]).all() and found[3] == pytest.approx(np.sqrt(1 / 1.75))
    assert not recwarn.list


# ---- across steps


def test_cross_step_against_loops():
    predicted, outputs = numbers(3, 10), numbers(4, 10, 2, seed=1)
    found = lds.cross_step(predicted, outputs)
    assert found.shape == (3, 4)
    for s, t in np.ndindex(3, 4):
        assert abs(found[s, t] - spearmanr(predicted[s], outputs[t].mean(1)).statistic) < 1e-12


def test_the_diagonal_across_steps_is_the_lds():
    predicted, outputs = numbers(3, 10), numbers(3, 10, 2, seed=1)
    assert np.diag(lds.cross_step(predicted, outputs)) == pytest.approx(lds.lds(predicted, outputs))


# ---- what must not matter


def test_the_order_of_subsets_models_and_images_does_not_matter():
    masks, score, outputs = halves(12, 30), numbers(2, 30), numbers(2, 12, 3, seed=1)
    random = np.random.default_rng(0)
    subsets, train, models = random.permutation(12), random.permutation(30), random.permutation(3)
    before = lds.lds(lds.predictions(masks, score), outputs)
    shuffled = outputs[:, subsets][:, :, models]
    predicted = lds.predictions(masks[subsets][:, train], score[:, train])
    assert np.allclose(lds.lds(predicted, shuffled), before, rtol=0, atol=1e-12)
    assert np.allclose(lds.retrain(shuffled), lds.retrain(outputs), rtol=0, atol=1e-12)
    assert np.allclose(lds.agreement(shuffled), lds.agreement(outputs), rtol=0, atol=1e-12)
    # permuted on one side only it does matter
    assert not np.allclose(lds.lds(lds.predictions(masks, score[:, train]), outputs), before, atol=1e-3)


def test_scale_and_shift_of_scores_do_not_matter():
    masks, score, outputs = halves(12, 30), numbers(2, 30), numbers(2, 12, 3, seed=1)
    before = lds.lds(lds.predictions(masks, score), outputs)
    assert np.allclose(lds.lds(lds.predictions(masks, 7 * score + 3), outputs), before, rtol=0, atol=1e-12)


# ---- means and intervals


def test_mean_over_targets_is_numpys():
    values = numbers(6, 4)
    mean, error = lds.mean_over_targets(values)
    assert np.allclose(mean, values.mean(0)) and np.allclose(error, values.std(0, ddof=1) / np.sqrt(6))


def test_mean_over_targets_leaves_out_nan(recwarn):
    values = numbers(5, 4)
    values[1:, 0] = np.nan  # one target is left
    values[:, 1] = np.nan
    values[2, 2] = np.nan
    mean, error = lds.mean_over_targets(values)
    rest = values[[0, 1, 3, 4], 2]
    assert mean[0] == values[0, 0] and np.isnan(error[0]) and np.isnan(mean[1]) and np.isnan(error[1])
    assert mean[2] == pytest.approx(rest.mean()) and error[2] == pytest.approx(rest.std(ddof=1) / 2)
    assert mean[3] == pytest.approx(values[:, 3].mean())
    assert not recwarn.list


def draws(count, targets=4, subsets=9, seed=0):
    return list(lds.resamples(numpy_stream(seed, "lds bootstrap"), targets, subsets, count))


def test_resamples_are_reproducible_and_with_replacement():
    first, again, other = draws(50), draws(50), draws(50, seed=1)
    for (targets, subsets), (same_targets, same_subsets) in zip(first, again):
        assert (targets == same_targets).all() and (subsets == same_subsets).all()
        assert targets.shape == (4,) and subsets.shape == (9,)
        assert set(targets) <= set(range(4)) and set(subsets) <= set(range(9))
    assert any(len(set(subsets)) < 9 for _, subsets in first)
    assert any((a[1] != b[1]).any() for a, b in zip(first, other))


def test_every_target_and_subset_is_drawn_equally_often():
    made = draws(4000)
    for part, size in ((0, 4), (1, 9)):
        counts = np.bincount(np.concatenate([pair[part] for pair in made]), minlength=size) / (4000 * size)
        assert np.abs(counts - 1 / size).max() < 0.01


def test_interval_is_the_percentiles():
    samples = numbers(1000, 3)
    low, high = lds.interval(samples)
    for k in range(3):
        in_order = np.sort(samples[:, k])
        assert in_order[24] <= low[k] <= in_order[25] and in_order[974] <= high[k] <= in_order[975]
    low, high = lds.interval(np.arange(101.0), level=0.5)
    assert (low, high) == (25, 75)


def test_interval_leaves_out_undefined_resamples(recwarn):
    samples = np.stack([numbers(200), np.full(200, np.nan)], 1)
    expected = lds.interval(samples[:150, 0])
    samples[150:, 0] = np.nan
    low, high = lds.interval(samples)
    assert low[0] == expected[0] and high[0] == expected[1] and np.isnan(low[1]) and np.isnan(high[1])
    assert not recwarn.list


def test_intervals_cover_a_known_correlation():
    """Subsets that are drawn again and again: the interval holds the truth about as often as it says."""
    truth, hits, trials, J = spearman_of_normals(0.6), 0, 120, 60
    for trial in range(trials):
        predicted = numbers(J, seed=2 * trial)
        outputs = 0.6 * predicted + 0.8 * numbers(J, seed=2 * trial + 1)
        stream = numpy_stream(trial, "coverage")
        samples = [lds.spearman(predicted[rows], outputs[rows]) for _, rows in lds.resamples(stream, 1, J, 150)]
        low, high = lds.interval(np.array(samples))
        hits += low <= truth <= high
    assert 0.88 <= hits / trials <= 0.99
