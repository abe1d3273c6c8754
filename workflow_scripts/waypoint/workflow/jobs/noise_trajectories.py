"""Noise trajectories: a given image may have several, whose scores are averaged with a standard error.

A target from a seed has one. Stores hold the first under the name used for every target, and the others as
``further_…``. This module needs no torch, because controls read trajectories without it.
"""

import numpy as np

from waypoint.store.zarr.reader import read


def of_every_noise(trajectory, name, rows):
    """Return x_t or x̂0_t of all noise trajectories at some rows of the grid: (noises, len(rows), C, H, W).

    Args:
        trajectory: a target's open store. name: "x_t" or "x0_hat".
    """
    values = read(trajectory[name])[None, rows]
    if f"further_{name}" not in trajectory:
        return values
    return np.concatenate([values, read(trajectory[f"further_{name}"])[:, rows]])


def noises_of(gradients):
    """Return the number of noise trajectories in an open store of target gradients."""
    return gradients["g_of_noise"].shape[0] if "g_of_noise" in gradients else 1


def gradients_of(gradients, m):
    """Return g_t of checkpoint m for every noise and step, noises outermost: (noises · steps, d)."""
    if "g_of_noise" not in gradients:
        return read(gradients["g"], m)
    g = read(gradients["g_of_noise"], (slice(None), m))
    return g.reshape(-1, g.shape[-1])


def mean_and_error(values):
    """Return the mean over the first axis, noises or checkpoints, and its standard error, None for a single one.

    Args:
        values: (noises or checkpoints, ...).
    """
    if len(values) == 1:
        return values[0], None
    return values.mean(0), values.std(0, ddof=1) / len(values) ** 0.5
