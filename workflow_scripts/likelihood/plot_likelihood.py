"""figures/likelihood-{target}.png: when a feature appears, and samples and training images of that time (Fig. 3)."""

import numpy as np

from waypoint.store.data.image_names import ImageNames
from waypoint.store.zarr.reader import read
from waypoint.workflow.figures.captions import Captions, plain
from waypoint.workflow.figures.listed import Listed
from waypoint.workflow.figures.shown_lists import ALIKE, ShownLists
from waypoint.workflow.figures.style import GREEN, RED, mosaic, one_above_another, plt, save, show
from waypoint.workflow.figures.trajectory import ROWS, name_row
from waypoint.workflow.jobs.job import run
from waypoint.workflow.plan.specs import settings_of

STYLES = {
    "standard": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "robust": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
}
CAPTION = {"color": "#CC79A7", "marker": "D", "linestyle": "-."}
COLUMNS, TOP = 5, 3
CELL = 0.85  # inches


def main(job):
    table, intervals = (job.table(path)[0] for path in (job.args.likelihood, job.args.intervals))
    table, intervals = (part[part["target"] == job.args.target] for part in (table, intervals))
    samples = job.open(job.args.samples)
    scores, data = (job.open(path) if path else None for path in (job.args.scores, job.args.data))
    steepest = intervals.dropna(subset=["step_from"])
    columns = steps_around(steepest, table["step"].unique().tolist())
    names = None if data is None else ImageNames(data)
    if scores is None:
        lists, rows, height, ratio = None, 1, 4.6, 0.4
    else:
        listed = Listed(job.open(job.args.near))
        top = min(TOP, len(listed) // 2)
        lists = ShownLists(job, scores, data, listed, Captions(names, CELL), top)
        rows, height, ratio = 1 + 2 * top, 4.9 + 1.1 * 2 * top, 0.4 + 2.2 * top / TOP
    figure = plt.figure(figsize=(6.4, height), layout="constrained")
    above, below = one_above_another(figure, (1, ratio))
    curve(above.subplots(), table, steepest)
    axes = below.subplots(rows, len(columns) + 1, squeeze=False)
    sample_row(axes[0], columns, samples)
    run_line = f"{table['samples'].iloc[0]} samples of $p(\\cdot|x_t)$ per step"
    if scores is not None:
        alike = influences(axes[1:], columns, read(scores["step"]).tolist(), lists)
        run_line += f", {scores_caption(scores, lists, alike)}"
    figure.suptitle(f"target {job.args.target}: {question(table, names)}\n{run_line}", x=0.01, ha="left", fontsize=10)
    save(figure, job)


def scores_caption(scores, lists, alike):
    """Return the caption of the training images: the method of their scores, and the meaning of what stands below.

    Args:
        alike: whether images with near-duplicates are shown.
    """
    method = scores.attrs["method"]
    if count := len(settings_of(scores.attrs["spec"]).get("checkpoints", [])):
        method += f", {count} model{'s' if count > 1 else ''}"
    lines = [
        f"{scores['score'].shape[1]:,} training images;",
        f"below those by {method}: highest scores (+, solid), lowest (−, dashed);",
        f"below each: {lists.below}",
        *([ALIKE] if alike else []),
        lists.key,
    ]
    return "\n".join(lines)


def question(table, names):
    """Return the question that the curves answer.

    Args:
        names: an ``ImageNames``, or None without training images, when no classifier judges.
    """
    classes = table.loc[table["classifier"].isin(STYLES), "feature"]
    if classes.empty:
        return "when does its caption fit better than the other?"
    return f"when is it class {plain(names.class_name(int(classes.iloc[0])))}?"


def steps_around(steepest, steps):
    """Return up to COLUMNS steps, descending, around the first classifier's steepest interval, or evenly spread."""
    steps = sorted(steps, reverse=True)
    if len(steps) <= COLUMNS:
        return steps
    if steepest.empty:
        return [steps[k] for k in np.linspace(0, len(steps) - 1, COLUMNS).round().astype(int)]
    middle = steps.index(int(steepest["step_from"].iloc[0]))
    start = min(max(0, middle - COLUMNS // 2), len(steps) - COLUMNS)
    return steps[start : start + COLUMNS]


def curve(axes, table, steepest):
    """Plot likelihood against t for every classifier or image-text model, with their steepest intervals."""
    for judge, rows in table.groupby("classifier", sort=False):
        feature = plain(str(rows["feature"].iloc[0]))
        label = f"{judge} classifier" if judge in STYLES else f"{judge}: “{feature}”"
        axes.plot(rows["step"], rows["likelihood"], label=label, **STYLES.get(judge, CAPTION))
    for row in steepest.itertuples():
        color = STYLES.get(row.classifier, CAPTION)["color"]
        axes.axvspan(row.step_to, row.step_from, color=color, alpha=0.13, linewidth=0)
    axes.set_xlim(table["step"].max() + 30, table["step"].min() - 30)
    axes.set(ylim=(-0.03, 1.03), xlabel="step t (noise on the left, image on the right)", ylabel="share of the samples")
    axes.set_title("likelihood; shaded: steepest interval of each classifier", fontsize=9)
    axes.legend(loc="best")


def sample_row(axes, columns, samples):
    """Show samples of p(·|x_t) for each step."""
    steps = read(samples["step"]).tolist()
    name_row(axes[0], ROWS[-1])
    for axis, t in zip(axes[1:], columns):
        axis.set_title(f"t = {t}", fontsize=9, loc="center")
        show(axis, mosaic(read(samples["sample"], steps.index(t))))


def influences(axes, columns, steps, lists):
    """Show the training images with the highest and lowest scores, for each step.

    Args:
        columns: the steps to show. steps: those with scores. lists: the ``ShownLists``.

    Returns:
        Whether any image that is shown has near-duplicates.
    """
    names = [*[f"+{r + 1}" for r in range(lists.top)], *[f"−{r + 1}" for r in range(lists.top)]]
    for r, (axis, name) in enumerate(zip(axes[:, 0], names)):
        name_row(axis, name, 11, GREEN if r < lists.top else RED)
    for column, t in zip(axes[:, 1:].T, columns):
        if t not in steps:
            for axis in column:
                axis.axis("off")
            column[0].text(0.5, 0.5, "not\nattributed", ha="center", va="center", fontsize=7)
            continue
        for r, axis in enumerate(column):
            lists.draw(axis, r // lists.top, steps.index(t), r % lists.top)
    return lists.alike(rows=[steps.index(t) for t in columns if t in steps])


if __name__ == "__main__":
    run(main, ["likelihood", "intervals", "samples", "scores?", "data?", "near?", "target", "out"])
