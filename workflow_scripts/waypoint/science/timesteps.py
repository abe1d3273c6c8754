"""The sampling grid on the training-time axis, without importing a model library.

Planning checks every attributed step against it before any job starts.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from waypoint.errors import WaypointError


def sampling_grid(T: int, steps: int, spacing: str = "leading", offset: int = 0) -> list[int]:
    """Return the training-time steps that ``steps`` sampling steps visit, descending, spaced as by DDPMScheduler.

    Returns:
        list of int, length ``steps``.

    Raises:
        WaypointError: more sampling steps than T, an unknown spacing, or a grid that leaves 0..T-1.
    """
    if steps > T:
        raise WaypointError(f"sampling.steps: {steps} is more than the model's {T} training steps")
    if spacing == "linspace":
        grid = np.linspace(0, T - 1, steps).round()[::-1]
    elif spacing == "leading":
        grid = (np.arange(steps) * (T // steps))[::-1] + offset
    elif spacing == "trailing":
        grid = np.round(np.arange(T, 0, -T / steps)) - 1
    else:
        raise WaypointError(f"scheduler.timestep_spacing {spacing!r} is unknown; use leading, trailing or linspace")
    grid = grid.astype(int).tolist()
    if grid[0] >= T:
        raise WaypointError(f"scheduler.steps_offset: {offset} pushes the sampling grid to step {grid[0]} of {T}")
    return grid


def check_steps(steps: Iterable[int], grid: Sequence[int], owner: str) -> None:
    """Refuse steps that sampling never visits, naming the nearest ones.

    Raises:
        WaypointError: a step is not in ``grid``; ``owner`` says whose steps they are.
    """
    visited = set(grid)
    for step in steps:
        if step not in visited:
            nearest = sorted(sorted(visited, key=lambda g: abs(g - step))[:2])
            raise WaypointError(
                f"{owner}: step {step} is not on the sampling grid of {len(grid)} steps "
                f"(nearest: {' and '.join(map(str, nearest))})"
            )
