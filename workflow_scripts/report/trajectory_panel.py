"""The trajectory panel of one target and method (Fig. 1, 2, B.7-B.9): steps as columns, influences below."""

import numpy as np

from waypoint.store.data.image_names import ImageNames
from waypoint.store.zarr.reader import read
from waypoint.workflow.figures.captions import Captions
from waypoint.workflow.figures.listed import Listed
from waypoint.workflow.figures.read_scores import models_of, projected
from waypoint.workflow.figures.shown_lists import ALIKE, ShownLists
from waypoint.workflow.figures.style import CONTROLS, GREEN, RED, reading, save
from waypoint.workflow.figures.trajectory import ROWS, SIDE, columns, header, name_row, show_step, titled
from waypoint.workflow.jobs.compared_image import Compared
from waypoint.workflow.jobs.job import run
from waypoint.workflow.plan.specs import settings_of

PUSHES = "; above 0, the image pushed towards this", "; below 0, the image pushed away from this"


def main(job):
    data = job.open(job.args.data)
    trajectory, samples, scores = (job.open(path) for path in (job.args.trajectory, job.args.samples, job.args.scores))
    steps = read(scores["step"]).tolist()
    listed = Listed(job.open(job.args.near))
    top = min(job.settings["figures"]["top"], len(listed) // 2)
    captions = Captions(ImageNames(data), SIDE)
    lists = ShownLists(job, scores, data, listed, captions, top)
    figure, axes = columns([0] * len(ROWS) + [1 + captions.lines] * (2 * top), len(steps))
    row_names(axes[:, 0], top)
    for column, s in enumerate(np.argsort(steps)[::-1].tolist(), 1):  # from noise on the left to the image on the right
        show_step(axes[:, column], trajectory, samples, steps[s])
        for row in range(2 * top):
            lists.draw(axes[len(ROWS) + row, column], row // top, s, row % top)
    header_lines = lines(job, scores, lists)
    if job.args.compared:
        header_lines.insert(2, (Compared(job.open(job.args.compared), ImageNames(data).files).line(), {"size": 7}))
    header(figure, read(trajectory["image"]), header_lines)
    reading(figure)
    shown = np.sort(steps)[::-1].tolist()
    save(figure, job, target=job.args.target, method=scores.attrs["method"], steps=shown)


def row_names(axes, top):
    """Write the rows' names into the first column."""
    influences = [(f"+{r + 1}", GREEN) for r in range(top)] + [(f"−{r + 1}", RED) for r in range(top)]
    for axis, name in zip(axes, ROWS):
        name_row(axis, name)
    for axis, (name, color) in zip(axes[len(ROWS) :], influences):
        name_row(axis, name, 11, color)


def lines(job, scores, lists):
    """Return the lines of the header: what was run, how far to trust it, and how to read the panel."""
    method, n, spec = scores.attrs["method"], scores["score"].shape[1], settings_of(scores.attrs["spec"])
    models = models_of(scores)
    run_line = f"{n:,} training images"
    run_line += "" if models is None else f", {models} model{'' if models == 1 else 's'}"
    run_line += f", {projected(spec)}" if "target_gradients" in scores.attrs["spec"] else ""
    control = " (control)" if method in CONTROLS else ""
    # a method without a model says nothing about what pushed one
    pushes = ("", "") if models is None else PUSHES
    guidance = guidances(spec) if "target_gradients" in scores.attrs["spec"] else None
    return [
        (f"{method}{control} · {titled(job.args.target, spec)}", {"size": 11, "weight": "bold"}),
        (run_line, {"size": 8}),
        *([(guidance, {"size": 8})] if guidance else []),
        (f"+, solid: the highest scores{pushes[0]}", {"size": 8, "color": GREEN}),
        (f"−, dashed: the lowest{pushes[1]}", {"size": 8, "color": RED}),
        (f"below each training image: {lists.below}", {"size": 8}),
        *([(ALIKE, {"size": 8})] if lists.alike() else []),
        (lists.key, {"size": 8}),
    ]


def guidances(spec):
    """Describe the guidance of f_t and x̂0_t; None for models without conditions.

    Args:
        spec: the settings of scores that come from gradients.
    """
    scales = [spec.get(section, {}).get("guidance", 1) for section in ("attribution", "sampling")]
    if scales == [1, 1] and not {"prompt", "label"} & spec.get("target", {}).keys():
        return None
    names = ["unguided" if scale == 1 else f"guidance {scale:g}" for scale in scales]
    return f"f_t {names[0]}, x̂0 {names[1]}"


if __name__ == "__main__":
    run(main, ["data", "near", "trajectory", "samples", "scores", "compared?", "target", "out"])
