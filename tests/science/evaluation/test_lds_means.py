"""The LDS of all methods, its references, means and resamples, against loops over targets, steps and subsets."""

import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr

from waypoint.science.evaluation import lds, lds_means

METHODS, K, S, J, R = [("trak", 2), ("trak", 1), ("pixel", "")], 9, 2, 12, 3


@pytest.fixture
def arrays():
    """Predictions (P, K, S, J) of three methods and outputs (K, S, J, R); the last target lacks the first step."""
    random = np.random.default_rng(0)
    truth, common = random.standard_normal((K, S, J)), random.standard_normal((S, J))
    outputs = truth[..., None] + common[..., None] + random.standard_normal((K, S, J, R))
    predicted = np.stack([weight * truth + random.standard_normal((K, S, J)) for weight in (2, 1, 0)])
    outputs[-1, 0] = predicted[:, -1, 0] = np.nan
    return predicted, outputs


def loops(predicted, outputs):
    """{(method, k, s): LDS}, and the correlations of the references, from scipy alone."""
    found = {}
    for k, s in itertools.product(range(len(outputs)), range(S)):
        models = outputs[k, s].T  # (R, J)
        if np.isnan(models).any():
            continue
        for m, method in enumerate(METHODS):
            found[method, k, s] = spearmanr(predicted[m, k, s], models.mean(0)).statistic
        pairs = itertools.combinations(range(R), 2)
        found["rho", k, s] = np.mean([spearmanr(models[a], models[b]).statistic for a, b in pairs])
        rest = [np.delete(models, r, 0).mean(0) for r in range(R)]
        found["retrain", k, s] = np.mean([spearmanr(models[r], rest[r]).statistic for r in range(R)])
    return found


def mean_and_error(values):
    return np.mean(values), np.std(values, ddof=1) / len(values) ** 0.5


def ceiling(rho):
    return (R * rho / (1 + (R - 1) * rho)) ** 0.5


def of_step(found, name, s):
    return [value for (method, _, step), value in found.items() if method == name and step == s]


def test_by_target(arrays):
    values, expected = lds_means.by_target(METHODS, *arrays), loops(*arrays)
    assert list(values) == [*METHODS, lds_means.RETRAIN, lds_means.CEILING]
    assert all(of_method.shape == (K, S) and np.isnan(of_method[-1, 0]) for of_method in values.values())
    for (name, k, s), value in expected.items():
        if name == "rho":
            assert values[lds_means.CEILING][k, s] == pytest.approx(
                ceiling(value) if value > 0 else np.nan, nan_ok=True
            )
        elif name == "retrain":
            defined = value if expected["rho", k, s] > 0 else np.nan
            assert values[lds_means.RETRAIN][k, s] == pytest.approx(defined, nan_ok=True)
        else:
            assert values[name][k, s] == pytest.approx(value)


def test_means_are_over_the_targets_that_have_the_step(arrays):
    values, expected = lds_means.means(METHODS, *arrays), loops(*arrays)
    for s in range(S):
        for method in METHODS:
            mean, error = mean_and_error(of_step(expected, method, s))
            assert [part[s] for part in values[method]] == pytest.approx([mean, error])
        rho = np.mean(of_step(expected, "rho", s))
        assert rho > 0 and values[lds_means.CEILING][0][s] == pytest.approx(ceiling(rho))
        expected_retrain = mean_and_error(of_step(expected, "retrain", s))
        assert [part[s] for part in values[lds_means.RETRAIN]] == pytest.approx(expected_retrain)


def test_specific_means_are_those_of_what_targets_do_not_have_in_common(arrays):
    predicted, outputs = (array.copy() for array in arrays)
    for s in range(S):
        there = [k for k in range(K) if np.isfinite(outputs[k, s]).all()]
        for array in (*predicted, outputs):
            array[:, s] -= np.mean([array[k, s] for k in there], axis=0)
    expected = loops(predicted, outputs)
    values = lds_means.specific_means(METHODS, *arrays)
    for s, method in itertools.product(range(S), METHODS):
        assert values[method][0][s] == pytest.approx(np.mean(of_step(expected, method, s)))


def test_every_resample_has_the_means_of_the_targets_and_subsets_that_it_drew(arrays):
    predicted, outputs, done = *arrays, []
    plain, specific = lds_means.resampled_means(METHODS, *arrays, np.random.default_rng(5), 4, done.append)
    assert done == [1, 2, 3, 4]
    for b, (targets, subsets) in enumerate(lds.resamples(np.random.default_rng(5), K, J, 4)):
        drawn = np.empty((len(METHODS), K, S, J)), np.empty((K, S, J, R))
        for (k, target), (j, subset) in itertools.product(enumerate(targets), enumerate(subsets)):
            drawn[0][:, k, :, j], drawn[1][k, :, j] = predicted[:, target, :, subset], outputs[target, :, subset]
        expected = loops(*drawn)
        for s, method in itertools.product(range(S), METHODS):
            assert plain[method][b, s] == pytest.approx(np.mean(of_step(expected, method, s)))
        of_specific = lds_means.specific_means(METHODS, *drawn)
        assert all(np.allclose(specific[m][b], of_specific[m][0], equal_nan=True) for m in specific)


def test_one_model_a_subset_has_no_references(arrays):
    predicted, outputs = arrays
    for found in (lds_means.by_target, lds_means.means, lds_means.specific_means):
        assert list(found(METHODS, predicted, outputs[..., :1])) == METHODS


def test_error_of_the_average_over_steps_is_over_targets():
    values = np.array([[0.2, 0.4], [0.1, np.nan], [0.5, 0.7]])
    _, error = mean_and_error([0.3, 0.1, 0.6])
    assert lds_means.error_of_overall(values) == pytest.approx(error)
