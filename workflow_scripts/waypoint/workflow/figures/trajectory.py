"""Parts of a trajectory's figure: a header, and for each step x_t, x̂0_t and samples of p(·|x_t) (Fig. 1, 2)."""

import textwrap

import numpy as np

from waypoint.store.zarr.reader import read
from waypoint.workflow.figures.captions import LINE, plain
from waypoint.workflow.figures.style import mosaic, plt, show

PROMPT = 26  # characters of a prompt that fit the narrowest heading
CELL, SIDE, HEADER, HEADING = 0.8, 0.75, 1.12, 5.2  # inches; HEADING is the least width for the header's lines
GAP, BOTTOM = 0.19, 0.24  # inches between rows, and below the last
ROWS = ["noisy input\n$x_t$", "one-step\nestimate $\\hat{x}_0^t$", "samples of\n$p(\\cdot|x_t)$"]


def columns(lines, steps):
    """Return a figure and its axes (rows, 1 + steps) below a header; the first column names the rows.

    Args:
        lines: for each row, the number of lines of text below its images. steps: the number of steps.
    """
    heights = [SIDE + (GAP if count == 0 else 0.1 + LINE * count) for count in lines]
    width, height = max(HEADING, CELL * (steps + 1) + 0.1), HEADER + 0.2 + sum(heights) + BOTTOM
    figure, axes = plt.figure(figsize=(width, height)), np.empty((len(lines), steps + 1), object)
    for row, above in enumerate(np.cumsum([HEADER + 0.2, *heights[:-1]])):
        for column in range(steps + 1):
            box = (0.05 + CELL * column) / width, 1 - (above + SIDE) / height, SIDE / width, SIDE / height
            axes[row, column] = figure.add_axes(box)
    return figure, axes


def show_step(axes, trajectory, samples, t):
    """Fill the first three axes of a step's column.

    Args:
        trajectory: open store of the target's trajectory.
        samples: open store with samples of p(·|x_t) at step t and, for latents, the decoded x_t and x̂0_t.
    """
    sample_row = read(samples["step"]).tolist().index(t)
    if "x_t_image" in samples:
        x_t, x0_hat = (read(samples[name], sample_row) for name in ("x_t_image", "x0_hat_image"))
    else:
        row = read(trajectory["step"]).tolist().index(t)
        x_t, x0_hat = (read(trajectory[name], row) for name in ("x_t", "x0_hat"))
    show(axes[0], x_t / max(1.0, np.abs(x_t).max() / 2))
    axes[0].set_title(f"t = {t}", size=9)
    show(axes[1], x0_hat)
    show(axes[2], mosaic(read(samples["sample"], sample_row)))


def name_row(axis, name, size=8, color="black"):
    """Write a row's name into its first column."""
    axis.axis("off")
    axis.text(0.95, 0.5, name, ha="right", va="center", size=size, color=color)


def header(figure, image, lines):
    """Draw the image itself and, beside it, lines of text, each (text, matplotlib's style)."""
    width, height = figure.get_size_inches()
    side = HEADER - 0.25
    show(figure.add_axes((0.1 / width, 1 - (side + 0.08) / height, side / width, side / height)), image, "black", 1)
    spacing = min(0.21, (HEADER - 0.3) / max(1, len(lines) - 1))
    for line, (text, style) in enumerate(lines):
        figure.text((side + 0.25) / width, 1 - (0.2 + spacing * line) / height, text, va="center", **style)


def titled(target, spec):
    """Return a target's name and, if it has one, its shortened prompt, without formulas."""
    prompt = textwrap.shorten(spec.get("target", {}).get("prompt", ""), PROMPT, placeholder=" …")
    return f"target {target}" + (f" · “{plain(prompt)}”" if prompt else "")
