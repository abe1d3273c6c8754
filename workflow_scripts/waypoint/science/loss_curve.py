"""Whether a training was long enough: does the loss of its last epochs still fall?"""

from collections.abc import Sequence

import numpy as np

from waypoint.science.types import Numbers

FALLING = 0.01  # of the loss of the tenth before


def last_tenths(epochs: int) -> tuple[slice, slice] | None:
    """Two slices of ``epochs`` epochs: the last tenth, at least one epoch, and the tenth before; None for one epoch."""
    tenth = max(1, epochs // 10)
    return None if epochs < 2 else (slice(epochs - tenth, epochs), slice(epochs - 2 * tenth, epochs - tenth))


def fall(losses: Sequence[float] | Numbers) -> tuple[float, float]:
    """By which share of itself the mean loss fell from the tenth before to the last, and that share's standard error.

    Args:
        losses: (epochs,), mean losses of all epochs, in their order; two or more.

    Returns:
        Two numbers: positive where the loss fell; NaN for the error of tenths of one epoch.
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
    """One sentence on whether the loss (epochs,) is still falling by more than one per cent from tenth to tenth."""
    if len(losses) < 2:
        return "One epoch: nothing tells whether the loss is still falling."
    (change, error), tenth = fall(losses), max(1, len(losses) // 10)
    last, before = (
        (f"the last {tenth} epochs", f"the {tenth} before") if tenth > 1 else ("the last epoch", "the one before")
    )
    share = f"{100 * abs(change):.1f}" + (f" ± {100 * error:.1f}" if np.isfinite(error) else "")
    word = "Still falling" if change > FALLING else "No longer falling by more than 1 %"
    return f"{word}: the mean loss of {last} is {share} % {'below' if change >= 0 else 'above'} that of {before}."
