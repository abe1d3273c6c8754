"""The LDS of all methods with its two references: by target, as means over targets, and by bootstrap.

Shapes as in ``lds``: P methods, K targets, S steps, J subsets, R models each; B resamples. ``predicted`` is
(P, K, S, J), in the order of ``methods``, and ``outputs`` (K, S, J, R); NaN where a target lacks a step. Results are
keyed by method and, for R ≥ 2, by ``RETRAIN`` and ``CEILING``.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from waypoint.science.evaluation import lds
from waypoint.science.types import Doubles, Numbers

Method: TypeAlias = tuple[str, str]  # a method and its variant, or a reference's name and an empty string
RETRAIN, CEILING = ("retrain", ""), ("ceiling", "")


def by_target(methods: Sequence[Method], predicted: Numbers, outputs: Numbers) -> dict[Method, Doubles]:
    """Return {method: LDS (K, S)}; references are NaN where two models of a subset do not agree (ρ ≤ 0)."""
    values = {method: lds.lds(sums, outputs) for method, sums in zip(methods, predicted)}
    rho, retrain = lds.agreement(outputs), lds.retrain(outputs)
    if rho is not None and retrain is not None:
        values[RETRAIN] = np.where(rho > 0, retrain, np.nan)
        values[CEILING] = lds.ceiling(rho, outputs.shape[-1])
    return values


def means(methods: Sequence[Method], predicted: Numbers, outputs: Numbers) -> dict[Method, tuple[Doubles, Doubles]]:
    """Return {method: (mean over targets (S,), its standard error (S,))}.

    The references' means include targets with ρ ≤ 0: leaving them out would bias the means upwards.
    """
    values = {
        method: lds.mean_over_targets(lds_by_target)
        for method, lds_by_target in zip(methods, lds.lds(predicted, outputs))
    }
    rho, retrain = lds.agreement(outputs), lds.retrain(outputs)
    if rho is not None and retrain is not None:
        mean, _ = lds.mean_over_targets(rho)
        values[CEILING] = lds.ceiling(mean, outputs.shape[-1]), np.full(mean.shape, np.nan)
        value, error = lds.mean_over_targets(retrain)
        values[RETRAIN] = np.where(mean > 0, value, np.nan), error
    return values


def specific_means(
    methods: Sequence[Method], predicted: Numbers, outputs: Numbers
) -> dict[Method, tuple[Doubles, Doubles]]:
    """Return ``means`` of the target-specific LDS: both sides are first centred over targets."""
    return means(methods, np.stack([lds.centred(sums) for sums in predicted]), lds.centred(outputs))


def resampled_means(
    methods: Sequence[Method],
    predicted: Numbers,
    outputs: Numbers,
    stream: np.random.Generator,
    count: int,
    report: Callable[[int], None] = lambda done: None,
) -> tuple[dict[Method, Doubles], dict[Method, Doubles]]:
    """Compute the means of ``count`` bootstrap resamples of targets and subsets, the same for all methods.

    Args:
        stream: a NumPy generator. report: called after each resample with the number done.

    Returns:
        {method: (B, S)} of ``means``, and the same for ``specific_means``.
    """
    all_targets, _, all_subsets, _ = outputs.shape
    plain: list[dict[Method, tuple[Doubles, Doubles]]] = []
    specific: list[dict[Method, tuple[Doubles, Doubles]]] = []
    for targets, subsets in lds.resamples(stream, all_targets, all_subsets, count):
        resample = methods, predicted[:, targets][..., subsets], outputs[targets][:, :, subsets]
        plain.append(means(*resample))
        specific.append(specific_means(*resample))
        report(len(plain))
    return _stacked(plain), _stacked(specific)


def _stacked(resampled: list[dict[Method, tuple[Doubles, Doubles]]]) -> dict[Method, Doubles]:
    """Stack the means (S,) of all resamples, without their errors, by method: (B, S)."""
    return {method: np.array([means_of[method][0] for means_of in resampled]) for method in resampled[0]}


def error_of_overall(values: Numbers) -> float:
    """Return the standard error over targets of the LDS averaged over each target's steps: (K, S) gives a number."""
    target_means, _ = lds.mean_over_targets(values.T)
    _, error = lds.mean_over_targets(target_means)
    return float(error)
