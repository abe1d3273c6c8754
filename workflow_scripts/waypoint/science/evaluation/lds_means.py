"""The LDS of all methods at once, beside its two references: by target, as means over targets, and by bootstrap.

Shapes as in ``lds``: P methods, K targets, S steps, J subsets, R models each; B resamples. ``predicted`` is
(P, K, S, J), in the order of ``methods``, and ``outputs`` (K, S, J, R); NaN where a target lacks a step. Results are
keyed by method, and for R ≥ 2 by ``RETRAIN`` and ``CEILING``.
"""

import numpy as np

from waypoint.science.evaluation import lds

RETRAIN, CEILING = ("retrain", ""), ("ceiling", "")


def by_target(methods, predicted, outputs):
    """{method: LDS (K, S)}; the references are NaN where two models of a subset do not agree (ρ ≤ 0)."""
    values = {method: lds.lds(sums, outputs) for method, sums in zip(methods, predicted)}
    rho, retrain = lds.agreement(outputs), lds.retrain(outputs)
    if rho is not None and retrain is not None:
        values[RETRAIN] = np.where(rho > 0, retrain, np.nan)
        values[CEILING] = lds.ceiling(rho, outputs.shape[-1])
    return values


def means(methods, predicted, outputs):
    """{method: (mean over targets (S,), its standard error (S,))}.

    The references' means take in all targets, those with ρ ≤ 0 too: leaving them out would flatter.
    """
    values = {
        method: lds.mean_over_targets(of_method) for method, of_method in zip(methods, lds.lds(predicted, outputs))
    }
    rho, retrain = lds.agreement(outputs), lds.retrain(outputs)
    if rho is not None:
        mean, _ = lds.mean_over_targets(rho)
        values[CEILING] = lds.ceiling(mean, outputs.shape[-1]), np.full(mean.shape, np.nan)
        value, error = lds.mean_over_targets(retrain)
        values[RETRAIN] = np.where(mean > 0, value, np.nan), error
    return values


def specific_means(methods, predicted, outputs):
    """``means`` of the target-specific LDS: what all targets have in common is taken out of both sides first."""
    return means(methods, np.stack([lds.centred(sums) for sums in predicted]), lds.centred(outputs))


def resampled_means(methods, predicted, outputs, stream, count, report=lambda done: None):
    """The means over ``count`` bootstrap resamples of targets and subsets, the same for all methods.

    Args:
        stream: a numpy generator. report: called after each resample with how many are done.

    Returns:
        {method: (B, S)} of ``means``, and the same of ``specific_means``.
    """
    all_targets, _, all_subsets, _ = outputs.shape
    plain, specific = [], []
    for targets, subsets in lds.resamples(stream, all_targets, all_subsets, count):
        drawn = methods, predicted[:, targets][..., subsets], outputs[targets][:, :, subsets]
        plain.append(means(*drawn))
        specific.append(specific_means(*drawn))
        report(len(plain))
    return tuple(
        {method: np.array([one[method][0] for one in some]) for method in some[0]} for some in (plain, specific)
    )


def error_of_overall(values):
    """Standard error over targets of the LDS averaged over each target's steps: (K, S) gives a number."""
    of_target, _ = lds.mean_over_targets(values.T)
    _, error = lds.mean_over_targets(of_target)
    return float(error)
