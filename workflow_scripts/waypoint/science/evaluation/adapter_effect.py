"""Does an adapter have any effect? Compare f_t with it and of the base alone on the same draws of ε.

A hardly trained adapter leaves the base unchanged. It still has gradients and scores, which do not reveal that the
model does not know its training images.
"""

from dataclasses import dataclass

import numpy as np

from waypoint.science.types import Numbers

DRAWS = 32  # draws of ε for each f_t, shared by all adapters and the base
ERRORS = 10  # standard errors by which f_t must differ to count as an effect


@dataclass(frozen=True)
class AdapterEffect:
    """f_t with and without an adapter, at one step of one target.

    Attributes:
        with_adapter, without: f_t, the mean over draws. error: standard error of their paired difference.
    """

    with_adapter: float
    without: float
    error: float

    @property
    def errors(self) -> float:
        """The difference of f_t in standard errors; 0 if there is none."""
        difference = abs(self.with_adapter - self.without)
        if difference == 0:
            return 0.0
        return difference / self.error if self.error > 0 else float("inf")

    @property
    def detected(self) -> bool:
        """Whether f_t differs by at least ten standard errors."""
        return self.errors >= ERRORS


def adapter_effect(with_adapter: Numbers, without: Numbers) -> AdapterEffect:
    """Compute the ``AdapterEffect`` from losses (draws,) on the same draws of ε.

    Args:
        with_adapter, without: element means of (ε − ε_θ)², one per draw; at least two.
    """
    on, off = (np.asarray(losses, np.float64) for losses in (with_adapter, without))
    difference = on - off
    return AdapterEffect(float(on.mean()), float(off.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference))))
