"""How wide the interval of an LDS will be, before a model is trained: from J subsets, R models each and K targets.

At one step let r_k = q_k + e_k be the LDS of target k: q_k what infinitely many subsets would give, with standard
deviation ``spread`` over targets; e_k the error of J subsets.

*One target.* On Fisher's scale, atanh r, Spearman's correlation over J subsets has the variance
s² = 1.06/(J − 3) (Fieller, Hartley & Pearson, Biometrika 44, 1957).

*K targets.* All targets have the same subsets. So a share ``common`` of the variance s² is the same error for all of
them and does not average out; the rest does: the mean over K targets has the variance

    s² (c + (1 − c)/K) + spread²/K.

*The interval.* ``lds.resamples`` draws targets and subsets, both with replacement. With Poisson-like weights W_k and
V_j of means 1, E[W²] = 2 − 1/K and E[V²] ≈ 2, a quantity that differs from cell to cell of the table of targets and
subsets contributes its variance (2 − 1/K)·2 − 1 = 3 − 2/K times, one of subsets alone 2 − 1 = 1 times, one of targets
alone (2 − 1/K) − 1 = 1 − 1/K times (Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1, 2007, for large K):

    σ² = s² (c + (1 − c)(3 − 2/K)/K) + (1 − 1/K) spread²/K.

It is wider than the mean's own error, on the safe side; one target has no spread to be drawn from, and its interval
speaks of that target alone.

The typical values below are those of the digits experiment (docs/results/digits-lds: 96 subsets of 2 models, 16
targets, nine steps; ``common`` and ``spread`` from the jackknife over subsets). Models of a subset do little to the
width: they raise the LDS itself, and only as far as its ``ceiling``.
"""

import math
from statistics import NormalDist

SIGNAL = 0.35  # LDS against the mean of endlessly many models: trak 0.38 and pixel 0.34 on average over steps
RHO = 0.4  # Spearman correlation of two models of one subset: 0.08 to 0.53
COMMON = 0.05  # trak 0.06 and pixel 0.02 on average, up to 0.23 at t = 900
SPREAD = 0.1  # of the LDS over targets, root mean square over steps: trak 0.06, pixel 0.12


def expected_lds(models: int, signal: float = SIGNAL, rho: float = RHO) -> float:
    """The LDS against the mean of R models: ``signal`` × √(Rρ/(1 + (R−1)ρ)), for 0 < ρ ≤ 1 (``lds.ceiling``)."""
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
    """Half the width of the bootstrap interval of a method's mean LDS at one step, in units of the LDS.

    Args:
        subsets: J. models: R, of each subset. targets: K.
        signal: the LDS that endlessly many models per subset would give.
        rho: Spearman correlation of two models of one subset.
        common: share, from 0 to 1, of the sampling variance that all targets have in common.
        spread: standard deviation over targets of the LDS itself.
        level: share of resamples within the interval.

    Returns:
        A number from 0 to 1, infinite for three subsets or fewer, of which the source says nothing.
    """
    if subsets <= 3:
        return math.inf
    z = math.atanh(expected_lds(models, signal, rho))
    slope = 1 - math.tanh(z) ** 2  # d r / d z: the spread is one of r
    of_subsets = 1.06 / (subsets - 3) * (common + (1 - common) * (3 - 2 / targets) / targets)
    of_targets = (1 - 1 / targets) * (spread / slope) ** 2 / targets
    reach = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(of_subsets + of_targets)
    return (math.tanh(z + reach) - math.tanh(z - reach)) / 2
