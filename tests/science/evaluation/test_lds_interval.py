"""The width of an LDS interval, foretold: against the bootstrap of simulated and of kept results, and by hand."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from waypoint.science.evaluation import lds
from waypoint.science.evaluation.lds_interval import expected_lds, half_width
from waypoint.science.random_streams import numpy_stream

RESULTS = Path(__file__).parents[3] / "docs/results/digits-lds"
EXACT = {"rho": 1.0, "spread": 0.0}  # models of one subset agree, and all targets have one LDS


def bootstrapped(predicted, outputs, stream, count=150):
    """Half the width of the product's interval of the mean over targets: predicted and outputs (K, J)."""
    draws = lds.resamples(stream, *predicted.shape, count)
    means = [lds.spearman(predicted[k][:, j], outputs[k][:, j]).mean() for k, j in draws]
    low, high = lds.interval(np.array(means))
    return (high - low) / 2


def simulated(subsets, targets, correlation, common, spread, trials=20):
    """Mean half width, and 1.96 times the standard deviation of the mean LDS, over experiments with a known answer.

    Where predictions are the same for all targets and the outputs' noises correlate by ``common``, so do the errors.
    """
    stream, widths, means = numpy_stream(0, "simulated"), [], []
    for _ in range(trials):
        shared, own = stream.standard_normal((2, subsets)), stream.standard_normal((2, targets, subsets))
        predicted = np.tile(shared[0], (targets, 1)) if common else own[0]
        noise = np.sqrt(common) * shared[1] + np.sqrt(1 - common) * own[1]
        each = (correlation + spread * stream.standard_normal(targets))[:, None]
        outputs = each * predicted + np.sqrt(1 - each**2) * noise
        widths.append(bootstrapped(predicted, outputs, stream))
        means.append(lds.spearman(predicted, outputs).mean())
    return np.mean(widths), 1.96 * np.std(means)


@pytest.mark.parametrize(
    "subsets,targets,correlation,common,spread",
    [
        (96, 16, 0.0, 0, 0),  # nothing in common: 3 − 2/K times the variance over K
        (96, 16, 0.3, 0, 0.1),
        (96, 16, 0.0, 1, 0),  # all in common: 16 targets are as good as one
        (96, 16, 0.0, 0.5, 0),
        (16, 4, 0.2, 0, 0.1),
        (48, 1, 0.3, 0, 0),  # one target: the source's formula itself
    ],
)
def test_the_bootstrap_of_simulated_outputs_is_as_wide(subsets, targets, correlation, common, spread):
    found, _ = simulated(subsets, targets, correlation, common, spread)
    told = half_width(subsets, 1, targets, signal=correlation, rho=1.0, common=common, spread=spread)
    assert found / 1.2 < told < 1.25 * found


def test_the_interval_is_not_narrower_than_the_error_of_the_mean():
    for common in (0, 1):
        _, error = simulated(48, 8, 0.0, common, 0, trials=60)
        assert half_width(48, 1, 8, signal=0.0, rho=1.0, common=common, spread=0) > 0.85 * error


@pytest.mark.parametrize("method", ["trak", "pixel", "trak-sum", "norm", "random"])
def test_kept_intervals_are_as_wide(method):
    """96 subsets of 2 models and 16 targets: the two whose values are no default of the formula within the same."""
    table = pd.read_csv(RESULTS / "tables/lds_summary.csv")
    rows = table[(table["method"] == method) & (table["checkpoints"].isna() | (table["checkpoints"] == 4))]
    found, told = (rows["high"] - rows["low"]).to_numpy() / 2, half_width(96, 2, 16)
    assert len(found) == 9 and found.mean() / 1.5 < told < 1.5 * found.mean()
    if method in ("trak", "pixel"):
        assert (found / 1.5 < told).all() and (told < 1.5 * found).all()


@pytest.mark.parametrize("subsets,targets", [(16, 4), (32, 8), (48, 1), (96, 4)])
@pytest.mark.parametrize("method", ["trak", "pixel"])
def test_fewer_of_the_kept_subsets_and_targets_have_wider_intervals(method, subsets, targets):
    """One model each of the first subsets, at t = 400: what a smaller experiment would have told."""
    outputs, scores = np.load(RESULTS / "outputs.npz"), np.load(RESULTS / f"scores-{method}.npz")
    s, widths = outputs["step"].tolist().index(400), []
    names = [name for name in outputs.files if name != "step"]
    n = scores[names[0]].shape[1]
    included = np.unpackbits(np.load(RESULTS / "subsets.npz")["included"], axis=1, count=n)[:subsets].astype(bool)
    for first in range(0, 16, max(targets, 2)):
        chosen = names[first : first + targets]
        predicted = np.stack([lds.predictions(included, scores[name][s]) for name in chosen])
        widths.append(bootstrapped(predicted, np.stack([outputs[name][:subsets, 0, s] for name in chosen]), stream()))
    found, told = np.mean(widths), half_width(subsets, 1, targets)
    assert found / 1.5 < told < 1.5 * found


def stream():
    return numpy_stream(0, "kept")


def test_by_hand():
    """J = 103: s² = 0.0106; of 2 targets with nothing in common (3 − 1)/2 = 1 of the variance, of 1 target all."""
    reach = math.tanh(1.959964 * math.sqrt(0.0106))
    for targets, common in ((1, 0), (1, 1), (2, 0), (7, 1)):
        assert half_width(103, 1, targets, signal=0.0, common=common, spread=0.0) == pytest.approx(reach, rel=1e-6)
    # at an LDS of r the scale of atanh is narrower by 1 − r²
    narrow = half_width(100_003, 1, 1, signal=0.6, **EXACT)
    assert narrow == pytest.approx((1 - 0.36) * 1.959964 * math.sqrt(1.06 / 100_000), rel=1e-3)
    # endless subsets leave the spread of the targets
    assert half_width(10**12, 1, 4, signal=0.0, spread=0.1) == pytest.approx(1.96 * 0.1 * math.sqrt(0.75 / 4), rel=1e-2)


def test_more_of_anything_is_not_wider():
    for more in ((64, 1, 4), (16, 2, 4), (16, 1, 16)):
        assert half_width(*more) < half_width(16, 1, 4)


@pytest.mark.parametrize("subsets", [1, 2, 3])
def test_of_three_subsets_nothing_is_said(subsets):
    assert half_width(subsets, 1, 4) == math.inf


def test_models_raise_the_lds_as_far_as_its_ceiling():
    for models in (1, 2, 5):
        assert expected_lds(models, 0.5, 0.4) == pytest.approx(0.5 * lds.ceiling(0.4, models))
