"""One score for the whole trajectory: Σ_t w_t τ_t (beyond the paper)."""

from collections.abc import Iterable

import numpy as np

from waypoint.errors import WaypointError
from waypoint.science.types import Doubles, Numbers


def step_weights(score: Numbers, steps: Iterable[int], target: str) -> Doubles:
    """Return w_t = 1/sd of τ_t over the training images, so that all steps count equally: float64 (S,).

    Args:
        score: (S, N). steps, target: identify a row in an error.

    Raises:
        WaypointError: all scores of a step are equal.
    """
    score = score.astype(np.float64)
    for t, tau_t in zip(steps, score):
        if np.ptp(tau_t) == 0:
            raise WaypointError(
                f"trak-sum: the scores of target {target} at step {t} are all equal, so 1/sd is undefined; "
                "leave that step out of the target's steps, or trak-sum out of methods"
            )
    return 1 / score.std(1)


def trajectory_score(score: Numbers, weights: Numbers) -> Doubles:
    """Return Σ_t w_t τ_t: float64 (..., N).

    Args:
        score: (..., S, N). weights: (S,).
    """
    return (score.astype(np.float64) * weights[:, None]).sum(-2)
