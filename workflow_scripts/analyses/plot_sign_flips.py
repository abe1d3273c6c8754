"""figures/sign_flips.png: training images that push towards a result at one step and away from it at another (B.3)."""

from dataclasses import dataclass

import numpy as np

from waypoint.science.evaluation.ranking import constant_steps
from waypoint.science.evaluation.sign_overlap import ranks, strongest_flip
from waypoint.store.data.image_names import ImageNames
from waypoint.store.zarr.reader import read
from waypoint.workflow.figures.captions import Captions
from waypoint.workflow.figures.read_scores import in_words, read_scores, what_ran
from waypoint.workflow.figures.style import GREEN, RED, Dashes, plt, save, show
from waypoint.workflow.jobs.job import run

SHOWN = 3  # targets
CELL, NAMES, HEADER, BETWEEN = 0.95, 1.3, 0.8, 0.6  # inches
LABEL = 8.5  # points


@dataclass
class Flip:
    """One target's image that changes sides most strongly, with its ranks from both ends at every step (S,)."""

    target: str
    trajectory: str
    image: int
    strength: int
    steps: list
    from_top: np.ndarray
    from_bottom: np.ndarray


def main(job):
    k = int(job.table(job.args.table)[0]["top_k"].max())
    counts = what_ran(job)
    strongest = sorted(flips(job, k), key=lambda flip: flip.strength)
    method = job.open(job.args.scores[0]).attrs["method"]
    title = f"{method}: training images in the top {k} at one step and in the bottom {k} at another\n"
    title += f"{in_words(counts)}; "
    if strongest:
        title += f"{len(strongest)} of the targets have such an image\n"
        title += "+: place from the top, −: from the bottom, grey: elsewhere, rank from the top"
        figure = draw(job, strongest[:SHOWN], k)
    else:
        title += f"K = {k} is the largest of evaluation.sign_overlap.top_k"
        figure = plt.figure(figsize=(7.5, 1.5))
        figure.text(0.02, 0.25, "No target has such an image.", fontsize=12, weight="bold")
    figure.text(0.1 / figure.get_figwidth(), 1 - 0.1 / figure.get_figheight(), title, va="top", fontsize=9.5)
    save(figure, job)


def flips(job, k):
    """Yield the strongest flip of every target that has one."""
    for (_, target, steps, score), trajectory in zip(read_scores(job), job.args.trajectories):
        ranks_by_step = ranks(score)
        strongest = None if constant_steps(score).any() else strongest_flip(*ranks_by_step, k)
        if strongest:
            image, strength = strongest
            yield Flip(target, trajectory, image, strength, steps, *(rows[:, image] for rows in ranks_by_step))


def draw(job, chosen, k):
    """Draw two rows per flip: one-step estimates, and the training image in a frame of its side's colour."""
    data, columns = job.open(job.args.data), max(len(flip.steps) for flip in chosen)
    images, captions = data["image"], Captions(ImageNames(data), NAMES - 0.2, LABEL)
    right = NAMES + CELL * columns
    width, height = max(right + 0.1, 7.5), HEADER + (2 * CELL + BETWEEN) * len(chosen)
    layout = {"height_ratios": [CELL, CELL, BETWEEN] * len(chosen), "hspace": 0.08, "wspace": 0.08}
    figure, axes = plt.subplots(3 * len(chosen), columns, figsize=(width, height), squeeze=False, gridspec_kw=layout)
    figure.subplots_adjust(NAMES / width, 0, right / width, 1 - (HEADER + 0.2) / height)
    for axis in axes.flat:
        axis.axis("off")
    for (above, below, _), flip in zip(axes.reshape(len(chosen), 3, columns), chosen):
        trajectory = job.open(flip.trajectory)
        grid = read(trajectory["step"]).tolist()
        for column, s in enumerate(np.argsort(flip.steps)[::-1]):  # from noise on the left to the image on the right
            for axis in (above[column], below[column]):
                axis.axis("on")
            show(above[column], read(trajectory["x0_hat"], grid.index(flip.steps[s])))
            above[column].set_title(f"t = {flip.steps[s]}", size=LABEL, loc="center")
            label, color, frame = side(flip.from_top[s], flip.from_bottom[s], k)
            show(below[column], read(images, flip.image), color, *frame)
            below[column].set_xlabel(label, size=LABEL, labelpad=2.5, color=color)
        name(above[0], f"target {flip.target}", "$\\hat{x}_0^t$")
        name(below[0], "training image", *captions.of(flip.image))
    return figure


def side(from_top, from_bottom, k) -> tuple[str, str, tuple[float, Dashes]]:
    """Return the label of an image, its colour, and the width and style of the frame."""
    if from_top <= k:
        return f"+{from_top}", GREEN, (2.4, "-")
    if from_bottom <= k:
        return f"−{from_bottom}", RED, (2.4, (0, (2, 1.8)))
    return f"rank {from_top}", "#666666", (0.8, "-")


def name(axis, *lines):
    """Write text to the left of a row."""
    text = "\n".join(map(str, lines))
    axis.annotate(text, (0, 0.5), (-8, 0), "axes fraction", "offset points", ha="right", va="center", fontsize=LABEL)


if __name__ == "__main__":
    run(main, ["table", "data", "scores*", "trajectories*", "out"])
