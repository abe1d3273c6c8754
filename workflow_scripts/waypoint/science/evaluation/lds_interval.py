"""The expected width of an LDS interval, before any training, for J subsets, R models each and K targets.

At one step let r_k = q_k + e_k be the LDS of target k: q_k is its value for infinitely many subsets, with standard
deviation ``spread`` over targets, and e_k the error of J subsets.

*One target.* On Fisher's scale, atanh r, Spearman's correlation over J subsets has variance
s² = 1.06/(J − 3) (Fieller, Hartley & Pearson, Biometrika 44, 1957).

*K targets.* All targets share the same subsets. A share c, ``common``, of the variance s² is therefore an error common
to all of them and does not average out; the rest does. The mean over K targets has variance

    s² (c + (1 − c)/K) + spread²/K.

*The interval.* ``lds.resamples`` draws targets and subsets, both with replacement. With Poisson-like weights W_k and
V_j of mean 1, E[W²] = 2 − 1/K and E[V²] ≈ 2, the variance of an effect of single cells in the table of targets and
subsets counts (2 − 1/K)·2 − 1 = 3 − 2/K times, that of subsets 2 − 1 = 1 times, and that of targets
(2 − 1/K) − 1 = 1 − 1/K times (Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1, 2007, for large K):

    σ² = s² (c + (1 − c)(3 − 2/K)/K) + (1 − 1/K) spread²/K.

This is conservative, being wider than the error of the mean. A single target has no spread to draw from, and its
interval concerns that target alone.

The typical values below come from the digits experiment (docs/results/digits-lds: 96 subsets of 2 models, 16 targets,
nine steps; ``common`` and ``spread`` from the jackknife over subsets). More models per subset hardly narrow the
interval: they raise the LDS itself, up to its ``ceiling``.
"""

import math
from statistics import NormalDist

SIGNAL = 0.35  # LDS against the mean of infinitely many models: trak 0.38 and pixel 0.34 on average over steps
RHO = 0.4  # Spearman correlation of two models of one subset: 0.08 to 0.53
COMMON = 0.05  # trak 0.06 and pixel 0.02 on average, up to 0.23 at t = 900
SPREAD = 0.1  # sd of the LDS over targets, root mean square over steps: trak 0.06, pixel 0.12


def expected_lds(models: int, signal: float = SIGNAL, rho: float = RHO) -> float:
    """Return the LDS against the mean of R models: ``signal`` × √(Rρ/(1 + (R−1)ρ)), for 0 < ρ ≤ 1 (``lds.ceiling``)."""
    return signal * math.sqrt(models * rho / (1 + (models - 1) * rho))


def half_width(
    subsets: int,
    models: int,
    targets: int,
    signal: float = SIGNAL,
    rho: float = RHO,
    common: float = COMMON,
    spread: float = SPREAD,
    level: float = 0.95,
) -> float:
    """Return half the width of the bootstrap interval of a method's mean LDS at one step.

    Args:
        subsets: J. models: R, per subset. targets: K.
        signal: the LDS for infinitely many models per subset.
        rho: Spearman correlation of two models of one subset.
        common: share, from 0 to 1, of the sampling variance that is common to all targets.
        spread: standard deviation over targets of the LDS itself.
        level: share of resamples within the interval.

    Returns:
        a number from 0 to 1; infinite for three subsets or fewer, for which the formula does not hold.
    """
    if subsets <= 3:
        return math.inf
    z = math.atanh(expected_lds(models, signal, rho))
    slope = 1 - math.tanh(z) ** 2  # dr/dz, because the spread is on the scale of r
    subset_variance = 1.06 / (subsets - 3) * (common + (1 - common) * (3 - 2 / targets) / targets)
    target_variance = (1 - 1 / targets) * (spread / slope) ** 2 / targets
    margin = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(subset_variance + target_variance)
    return (math.tanh(z + margin) - math.tanh(z - margin)) / 2
