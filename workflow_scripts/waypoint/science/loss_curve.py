"""Was training long enough, or is the loss still falling in the last epochs?"""

from collections.abc import Sequence

import numpy as np

from waypoint.science.types import Numbers

FALLING = 0.01  # share of the loss of the previous tenth


def last_tenths(epochs: int) -> tuple[slice, slice] | None:
    """Return slices of the last tenth of the epochs, at least one, and of the tenth before; None for a single epoch."""
    tenth = max(1, epochs // 10)
    return None if epochs < 2 else (slice(epochs - tenth, epochs), slice(epochs - 2 * tenth, epochs - tenth))


def fall(losses: Sequence[float] | Numbers) -> tuple[float, float]:
    """Return the relative fall of the mean loss from the previous tenth to the last, and its standard error.

    Args:
        losses: (epochs,), the mean loss of every epoch in order; two or more.

    Returns:
        two numbers: the fall, positive if the loss fell, and its error, NaN if a tenth is a single epoch.
    """
    losses, tenths = np.asarray(losses, np.float64), last_tenths(len(losses))
    if tenths is None:
        raise ValueError("one epoch has no tenth before the last")
    last, before = (losses[part] for part in tenths)
    change = (before.mean() - last.mean()) / before.mean()
    if len(last) < 2:
        return change, np.nan
    return change, np.sqrt((last.var(ddof=1) + before.var(ddof=1)) / len(last)) / before.mean()


def in_words(losses: Sequence[float] | Numbers) -> str:
    """Say in one sentence whether the loss (epochs,) still falls by more than 1 % from one tenth to the next."""
    if len(losses) < 2:
        return "One epoch: nothing tells whether the loss is still falling."
    (change, error), tenth = fall(losses), max(1, len(losses) // 10)
    last, before = (
        (f"the last {tenth} epochs", f"the {tenth} before") if tenth > 1 else ("the last epoch", "the one before")
    )
    share = f"{100 * abs(change):.1f}" + (f" ± {100 * error:.1f}" if np.isfinite(error) else "")
    word = "Still falling" if change > FALLING else "No longer falling by more than 1 %"
    return f"{word}: the mean loss of {last} is {share} % {'below' if change >= 0 else 'above'} that of {before}."
