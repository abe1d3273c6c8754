"""Does an adapter do anything? f_t with it, and of the base alone, on the same noises.

An adapter that was hardly trained leaves the base as it is. Its gradients and scores are numbers nevertheless, and
nothing in them tells that they are about a model which does not know its training images.
"""

from dataclasses import dataclass

import numpy as np

from waypoint.science.types import Numbers

DRAWS = 32  # of ε for each f_t, common to all adapters and to the base
ERRORS = 10  # standard errors by which f_t must differ


@dataclass(frozen=True)
class AdapterEffect:
    """f_t with an adapter and without it, at one step of one target.

    Attributes:
        with_adapter, without: f_t, the mean over draws. error: standard error of their difference over the same draws.
    """

    with_adapter: float
    without: float
    error: float

    @property
    def errors(self) -> float:
        """How many standard errors f_t differs by; 0 where it does not differ at all."""
        difference = abs(self.with_adapter - self.without)
        if difference == 0:
            return 0.0
        return difference / self.error if self.error > 0 else float("inf")

    @property
    def seen(self) -> bool:
        """Whether f_t differs by ten standard errors."""
        return self.errors >= ERRORS


def adapter_effect(with_adapter: Numbers, without: Numbers) -> AdapterEffect:
    """The ``AdapterEffect`` of losses (draws,) on the same noises.

    Args:
        with_adapter, without: element-means of (ε − ε_θ)², a draw each; at least two.
    """
    on, off = (np.asarray(losses, np.float64) for losses in (with_adapter, without))
    difference = on - off
    return AdapterEffect(float(on.mean()), float(off.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference))))
