"""The trajectory panel of one target and method (Fig. 1, 2, B.7-B.9): steps as columns, influences below."""

import json

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt

from waypoint.science.ranking import extremes
from waypoint.store.arrays import read
from waypoint.store.provenance import marker_path
from waypoint.workflow.script import run

GREEN, RED = "#009E73", "#D55E00"  # told apart by colour-blind readers, and by + and − and the frame's style
CELL = 0.92  # inches


def picture(image):
    """A (C, H, W) image in [-1, 1] as matplotlib wants it."""
    pixels = np.clip((image + 1) / 2, 0, 1).transpose(1, 2, 0)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels[..., :3]


def mosaic(images):
    """Four (C, H, W) images as one 2 × 2 picture with a light gap."""
    c, h, w = images[0].shape
    gap = max(1, h // 16)
    out = np.ones((c, 2 * h + gap, 2 * w + gap), np.float32)
    for k, image in enumerate(images[:4]):
        y, x = (k // 2) * (h + gap), (k % 2) * (w + gap)
        out[:, y : y + h, x : x + w] = image
    return out


def show(axes, image, edge="#888888", width=0.6, style="-"):
    """Draw one image with a frame."""
    axes.imshow(picture(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([]), axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(edgecolor=edge, linewidth=width, linestyle=style)


def main(job):
    top = job.spec["figures"]["top"]
    data = job.open(job.args.data)
    trajectory, continuations, scores = (
        job.open(path) for path in (job.args.trajectory, job.args.continuations, job.args.scores)
    )
    steps = read(scores["step"]).tolist()
    grid, shown = read(trajectory["step"]).tolist(), read(continuations["step"]).tolist()
    order = np.argsort(steps)[::-1]  # left to right as the image is made
    top = min(top, scores["score"].shape[1] // 2)
    rows = 3 + 2 * top
    figure, axes = plt.subplots(
        rows, len(steps) + 1, figsize=(CELL * (len(steps) + 1.3), CELL * rows * 1.16 + 1.1), squeeze=False
    )
    figure.subplots_adjust(
        left=0.02, right=0.98, bottom=0.03, top=1 - 1.0 / figure.get_figheight(), hspace=0.34, wspace=0.08
    )
    names = ["called on\n$x_t$", "one-step\nestimate $\\hat{x}_0^t$", "samples of\n$p(\\cdot|x_t)$"]
    names += [f"+{r + 1}" for r in range(top)] + [f"−{r + 1}" for r in range(top)]
    for r, name in enumerate(names):
        axes[r, 0].axis("off")
        color = "black" if r < 3 else GREEN if r < 3 + top else RED
        size = 8.5 if r < 3 else 12
        axes[r, 0].text(
            0.95, 0.5, name, ha="right", va="center", size=size, color=color, transform=axes[r, 0].transAxes
        )
    for column, s in enumerate(order, 1):
        t, score = steps[s], read(scores["score"], int(s))
        x_t = read(trajectory["x_t"], grid.index(t))
        show(axes[0, column], x_t / max(1.0, np.abs(x_t).max() / 2))
        show(axes[1, column], read(trajectory["x0_hat"], grid.index(t)))
        show(axes[2, column], mosaic(read(continuations["sample"], shown.index(t))))
        axes[0, column].set_title(f"t = {t}", size=10)
        best, worst = extremes(score, top)
        for row, i in enumerate([*best, *worst], 3):
            positive = row < 3 + top
            show(
                axes[row, column],
                read(data["image"], int(i)),
                GREEN if positive else RED,
                2.2,
                "-" if positive else (0, (3, 1.5)),
            )
            axes[row, column].set_xlabel(f"{score[i]:+.3g}".replace("-", "−"), size=7.5, labelpad=2)
    fraction = 0.78 / figure.get_figheight()
    final = figure.add_axes((0.03, 1 - 0.88 / figure.get_figheight(), 0.78 / figure.get_figwidth(), fraction))
    show(final, read(trajectory["image"]), "black", 1)
    info = f"{scores.attrs['method']}: what guided target {job.args.target}"
    count = f"{scores['score'].shape[1]} training images"
    if scores.attrs["method"] == "trak":
        count += f", {len(scores.attrs['spec']['checkpoints'])} checkpoints"
    figure.text(
        0.06 + 0.78 / figure.get_figwidth(), 1 - 0.3 / figure.get_figheight(), info, size=11, weight="bold", va="center"
    )
    legend = f"image at left; {count}; + raises its likelihood at step t, − lowers it; score below"
    figure.text(
        0.06 + 0.78 / figure.get_figwidth(),
        1 - 0.55 / figure.get_figheight(),
        legend,
        size=7.5,
        va="center",
        color="#444444",
    )
    figure.savefig(job.args.out, dpi=130)
    marker_path(job.args.out).write_text(json.dumps(job.provenance(), indent=2))


if __name__ == "__main__":
    run(main, "figures", ["data", "trajectory", "continuations", "scores", "target", "out"])
