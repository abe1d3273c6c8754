"""The trajectory panel of one target and method (Fig. 1, 2, B.7-B.9): steps as columns, influences below."""

import numpy as np

from waypoint.science.evaluation.ranking import top_and_bottom
from waypoint.store.zarr.reader import read
from waypoint.workflow.figures.read_scores import projected
from waypoint.workflow.figures.style import GREEN, RED, save, show
from waypoint.workflow.figures.trajectory import ROWS, columns, header, name_row, show_step, titled
from waypoint.workflow.jobs.compared_image import Compared
from waypoint.workflow.jobs.job import run
from waypoint.workflow.plan.specs import settings_of


def main(job):
    data = job.open(job.args.data)
    trajectory, samples, scores = (job.open(path) for path in (job.args.trajectory, job.args.samples, job.args.scores))
    steps = read(scores["step"]).tolist()
    top = min(job.settings["figures"]["top"], scores["score"].shape[1] // 2)
    figure, axes = columns(len(ROWS) + 2 * top, len(steps))
    row_names(axes[:, 0], top)
    for column, s in enumerate(np.argsort(steps)[::-1], 1):  # left to right as the image is made
        score = read(scores["score"], int(s))
        show_step(axes[:, column], trajectory, samples, steps[s])
        best, worst = top_and_bottom(score, top)
        for row, i in enumerate([*best, *worst], len(ROWS)):
            frame = (GREEN, 2.2, "-") if row < len(ROWS) + top else (RED, 2.2, (0, (2, 1.8)))
            show(axes[row, column], read(data["image"], int(i)), *frame)
            axes[row, column].set_xlabel(f"{score[i]:+.2g}".replace("-", "−"), size=7, labelpad=1.5)
    said = lines(job.args.target, scores)
    if job.args.compared:
        said.insert(2, (Compared(job.open(job.args.compared)).line(), {"size": 7}))
    header(figure, read(trajectory["image"]), said)
    save(figure, job)


def row_names(axes, top):
    """Write the rows' names into the first column."""
    influences = [(f"+{r + 1}", GREEN) for r in range(top)] + [(f"−{r + 1}", RED) for r in range(top)]
    for axis, name in zip(axes, ROWS):
        name_row(axis, name)
    for axis, (name, color) in zip(axes[len(ROWS) :], influences):
        name_row(axis, name, 11, color)


def lines(target, scores):
    """The lines of the header: what was run, and how to read the panel."""
    method, n, spec = scores.attrs["method"], scores["score"].shape[1], settings_of(scores.attrs["spec"])
    ran = f"{n} training images"
    if "target_gradients" in scores.attrs["spec"]:
        ran += f", {len(spec['checkpoints'])} models, {projected(spec)}"
    return [
        (f"{method} · {titled(target, spec)}", {"size": 11, "weight": "bold"}),
        (ran, {"size": 8}),
        ("+, solid: training images with the highest scores", {"size": 8, "color": GREEN}),
        ("−, dashed: with the lowest; below each its score", {"size": 8, "color": RED}),
    ]


if __name__ == "__main__":
    run(main, ["data", "trajectory", "samples", "scores", "compared?", "target", "out"])
