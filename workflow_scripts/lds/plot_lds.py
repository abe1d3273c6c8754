"""figures/lds.png: LDS against t, a panel for each method (Fig. 4), and its averages over the steps."""

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from waypoint.workflow.figures.caveats import with_caveats
from waypoint.workflow.figures.style import Dashes, plt, save, side_by_side, styles, time_axis
from waypoint.workflow.jobs.job import run
from waypoint.workflow.words import counted

REFERENCES: dict[str, tuple[Dashes, str]] = {"ceiling": ("--", "best possible"), "retrain": (":", "retraining once")}
COLUMNS = 4  # panels in a row, at most
PANEL, ROW, AVERAGES = (2.1, 1.75), 0.24, 5.2  # inches
ENSEMBLES: list[Dashes] = ["-.", ":", (0, (1, 3))]  # lines of a method's smaller ensembles, the largest first


def main(job):
    (table, attributes), (overall, _) = (job.table(path) for path in (job.args.summary, job.args.overall))
    looks = styles([name for name in table["method"].unique() if name not in REFERENCES], job.settings.get("looks"))
    table, overall = sorted_rows(table, looks), sorted_rows(overall, looks)
    rows = -(-len(looks) // COLUMNS)
    columns = -(-len(looks) // rows)
    # the averages have a line for each ensemble of each method
    height = max(1.4 + PANEL[1] * rows, 1.6 + ROW * len(overall))
    width = 0.6 + PANEL[0] * columns
    figure = plt.figure(figsize=(width + AVERAGES, height), layout="constrained")
    left, right = side_by_side(figure, (width, AVERAGES))
    by_step(left, looks, table, (rows, columns))
    averages(right.subplots(), looks, overall)
    figure.suptitle(title(attributes), x=0.01, ha="left", fontsize=11)
    save(figure, job)


def sorted_rows(table, looks):
    """Sort a table's rows as in all figures: methods, each with its largest ensemble first, then references."""
    order = [*looks, *REFERENCES]
    table = table.assign(order=table["method"].map(order.index), size=-table["checkpoints"].fillna(0))
    return table.sort_values(["order", "size"], kind="stable").drop(columns=["order", "size"])


def by_step(figure, looks, table, shape):
    """Draw a panel for each method: its ensembles, the largest with its interval, in front of the others in grey."""
    grid = figure.subplots(*shape, sharex=True, sharey=True, squeeze=False)
    largest = {name: next(ensembles(table, name)) for name in table["method"].unique()}
    for axes, method in zip(grid.flat, looks):
        for other in looks:
            axes.plot(largest[other]["step"], largest[other]["mean"], color="#D5D5D5", linewidth=0.7, zorder=1)
        for name, (line, _) in REFERENCES.items():
            if name in largest:
                axes.plot(largest[name]["step"], largest[name]["mean"], color="black", linestyle=line, linewidth=0.9)
        color = looks[method]["color"]
        for rows, line in zip(ensembles(table, method), ["-", *ENSEMBLES]):
            axes.plot(rows["step"], rows["mean"], color=color, linestyle=line, linewidth=1.8 if line == "-" else 1.1)
        rows = largest[method]
        axes.fill_between(rows["step"], rows["low"], rows["high"], color=color, alpha=0.22, linewidth=0)
        axes.axhline(0, color="black", linewidth=0.6)
        axes.set_title(method, color=color, fontweight="bold")
    steps = sorted(table["step"].unique())
    time_axis(grid[0, 0], steps)
    grid[0, 0].set(xlabel="", xticks=steps if len(steps) <= 5 else steps[::2])
    for k, axes in enumerate(grid.flat):
        axes.set_visible(k < len(looks))
        if len(looks) - shape[1] <= k < len(looks):  # the lowest panel of its column
            axes.set_xlabel("step t")
            axes.tick_params(labelbottom=True)
    figure.supylabel("LDS (Spearman correlation)", fontsize=9)
    figure.legend(
        handles=keys(table, looks),
        loc="outside lower center",
        ncols=3,
        title="from left to right as the image is made: noise to image",
        title_fontsize=8,
    )


def ensembles(table, method):
    """Yield a method's rows by ensemble, the largest first."""
    for _, rows in table[table["method"] == method].groupby("checkpoints", dropna=False, sort=False):
        yield rows


def keys(table, looks):
    """Return the entries of the legend, which explain lines and bands."""
    lines = [Line2D([], [], color="#555555", linewidth=1.8, label="largest ensemble, with its 95 % interval")]
    sizes = sorted(table[table["method"].isin(looks)]["checkpoints"].dropna().unique())[::-1]
    for style, size in zip(ENSEMBLES, sizes[1:]):
        label = f"{size:.0f} model{'s' * bool(size > 1)}"
        lines.append(Line2D([], [], color="#555555", linestyle=style, linewidth=1.1, label=label))
    for name, (style, label) in REFERENCES.items():
        if name in set(table["method"]):
            lines.append(Line2D([], [], color="black", linestyle=style, linewidth=0.9, label=f"{name} ({label})"))
    return [*lines, Line2D([], [], color="#D5D5D5", label="the other methods")]


def averages(axes, looks, overall):
    """Draw a row per method and ensemble: its average over the steps, with interval and share of the ceiling."""
    shown = overall.iloc[::-1].reset_index(drop=True)
    names = [row_name(row) for row in shown.itertuples()]
    for y, row in enumerate(shown.itertuples()):
        color = "black" if row.method in REFERENCES else looks[row.method]["color"]
        axes.plot([row.low, row.high], [y, y], color=color, linewidth=2.5, solid_capstyle="butt", alpha=0.5)
        marker = "D" if row.method in REFERENCES else looks[row.method]["marker"]
        axes.plot(row.mean, y, color=color, marker=marker, markersize=6)
        if np.isfinite(row.specific):
            axes.plot(row.specific, y, color=color, marker="|", markersize=9, markeredgewidth=1.8)
        if np.isfinite(row.of_ceiling) and row.method not in REFERENCES:
            axes.annotate(
                f"{row.of_ceiling:.0%}", (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=8
            )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set(ylim=(-0.6, len(names) - 0.4), xlabel="LDS", title="average over the steps, with 95 % intervals")
    if overall["of_ceiling"].notna().any():
        axes.annotate("of the\nceiling", (1.01, 1.0), xycoords="axes fraction", va="bottom", fontsize=8)
    if overall["specific"].notna().any():
        bar = Line2D([], [], color="#555555", marker="|", markersize=9, markeredgewidth=1.8, linestyle="")
        axes.legend([bar], ["target-specific LDS"], loc="upper center", bbox_to_anchor=(0.5, -0.9 / len(names) - 0.05))


def row_name(row):
    """Return the name of a row: the method and its number of models."""
    if row.method in REFERENCES:
        return f"{row.method} ({REFERENCES[row.method][1]})"
    return (
        f"{row.method}, {row.checkpoints:.0f} model{'s' * bool(row.checkpoints > 1)}"
        if pd.notna(row.checkpoints)
        else row.method
    )


def title(attributes):
    """Return the figure's title, which describes the run in numbers."""
    models = "1 model" if attributes["models_per_subset"] == 1 else f"{attributes['models_per_subset']} models"
    targets, subsets = counted(attributes["targets"], "target"), counted(attributes["subsets"], "random subset")
    text = f"LDS: {targets}, {subsets} of {attributes['images']} training images, {models} each"
    return with_caveats(text, targets=attributes["targets"], subsets=attributes["subsets"])


if __name__ == "__main__":
    run(main, ["summary", "overall", "out"])
