"""The trajectory panel of one target and method (Fig. 1, 2, B.7-B.9): steps as columns, influences below."""

import numpy as np

from waypoint.science.ranking import extremes
from waypoint.store.arrays import read
from waypoint.workflow.plots import GREEN, RED, mosaic, plt, save, show
from waypoint.workflow.script import run

CELL, HEADER, HEADING = 0.8, 1.12, 5.2  # inches; the heading's lines take that width


def main(job):
    data = job.open(job.args.data)
    trajectory, continuations, scores = (
        job.open(path) for path in (job.args.trajectory, job.args.continuations, job.args.scores)
    )
    steps = read(scores["step"]).tolist()
    top = min(job.spec["figures"]["top"], scores["score"].shape[1] // 2)
    rows = 3 + 2 * top
    used, height = CELL * (len(steps) + 1.15), CELL * 1.18 * rows + HEADER
    width = max(HEADING, used)
    figure, axes = plt.subplots(rows, len(steps) + 1, figsize=(width, height), squeeze=False)
    figure.subplots_adjust(0.01, 0.25 / height, 0.985 * used / width, 1 - (HEADER + 0.1) / height, wspace=0.07, hspace=0.25)
    row_names(axes[:, 0], top)
    grid, sampled = read(trajectory["step"]).tolist(), read(continuations["step"]).tolist()
    for column, s in enumerate(np.argsort(steps)[::-1], 1):  # left to right as the image is made
        t, score = steps[s], read(scores["score"], int(s))
        at = sampled.index(t)
        if "x_t_image" in continuations:  # of latents: what they are decoded to
            x_t, x0_hat = (read(continuations[name], at) for name in ("x_t_image", "x0_hat_image"))
        else:
            x_t, x0_hat = (read(trajectory[name], grid.index(t)) for name in ("x_t", "x0_hat"))
        show(axes[0, column], x_t / max(1.0, np.abs(x_t).max() / 2))
        axes[0, column].set_title(f"t = {t}", size=9)
        show(axes[1, column], x0_hat)
        show(axes[2, column], mosaic(read(continuations["sample"], at)))
        best, worst = extremes(score, top)
        for row, i in enumerate([*best, *worst], 3):
            frame = (GREEN, 2.2, "-") if row < 3 + top else (RED, 2.2, (0, (2, 1.8)))
            show(axes[row, column], read(data["image"], int(i)), *frame)
            axes[row, column].set_xlabel(f"{score[i]:+.2g}".replace("-", "−"), size=7, labelpad=1.5)
    header(figure, read(trajectory["image"]), job.args.target, scores)
    save(figure, job)


def row_names(axes, top):
    """What each row shows, in the first column."""
    names = ["noisy input\n$x_t$", "one-step\nestimate $\\hat{x}_0^t$", "samples of\n$p(\\cdot|x_t)$"]
    names += [f"+{r + 1}" for r in range(top)] + [f"−{r + 1}" for r in range(top)]
    for r, (axis, name) in enumerate(zip(axes, names)):
        axis.axis("off")
        color = "black" if r < 3 else GREEN if r < 3 + top else RED
        axis.text(0.95, 0.5, name, ha="right", va="center", size=8 if r < 3 else 11, color=color)


def header(figure, image, target, scores):
    """The image itself, and what was run."""
    width, height = figure.get_size_inches()
    side = HEADER - 0.25
    show(figure.add_axes((0.1 / width, 1 - (side + 0.08) / height, side / width, side / height)), image, "black", 1)
    method, n = scores.attrs["method"], scores["score"].shape[1]
    ran = f"{n} training images"
    if method == "trak":
        spec = scores.attrs["spec"]
        ran += f", {len(spec['checkpoints'])} models, d = {spec['projection']['dim']}"
    prompt = scores.attrs["spec"].get("target", {}).get("prompt")
    lines = [
        (f"{method} · target {target}" + (f" · “{prompt}”" if prompt else ""), {"size": 11, "weight": "bold"}),
        (ran, {"size": 8}),
        ("+, solid: training images with the highest scores", {"size": 8, "color": GREEN}),
        ("−, dashed: with the lowest; below each its score", {"size": 8, "color": RED}),
    ]
    for line, (text, style) in enumerate(lines):
        figure.text((side + 0.25) / width, 1 - (0.2 + 0.21 * line) / height, text, va="center", **style)


if __name__ == "__main__":
    run(main, "figures", ["data", "trajectory", "continuations", "scores", "target", "out"])
