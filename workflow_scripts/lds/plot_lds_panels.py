"""figures/{target}/lds/{method}.png: a trajectory panel together with how well its method predicts retraining."""

from matplotlib.image import imread

from waypoint.store.artifacts.atomic import atomic_file
from waypoint.workflow.figures.lds_words import lds_in_words, overall_lds
from waypoint.workflow.figures.style import plt
from waypoint.workflow.figures.trajectory import CELL, SIDE
from waypoint.workflow.jobs.job import run
from waypoint.workflow.words import counted

ABOVE, BELOW, PLOT = 0.5, 1.45, 0.95  # inches: text above the panel, the row below it with and without its margins
BLACK, GREY = "black", "#767676"


def main(job):
    (summary, tables), overall = job.table(job.args.summary), job.folder(job.args.overall)
    for path, out in zip(job.args.panels, job.args.out, strict=True):
        attributes = job.attributes(job.folder(path))
        words = lds_in_words(overall_lds(overall, attributes["method"]))
        figure = with_lds(imread(path), attributes, summary, f"{attributes['method']}: {words}", measured_on(tables))
        with atomic_file(out, job.provenance) as tmp:
            figure.savefig(tmp)
        plt.close(figure)


def measured_on(attributes):
    """Describe the experiment behind the LDS, from the attributes of its tables."""
    models, subsets = counted(attributes["models_per_subset"], "model"), counted(attributes["subsets"], "random subset")
    targets = counted(attributes["targets"], "target")
    return f"over all steps; {targets}, {subsets}, {models} each"


def with_lds(panel, attributes, summary, title, subtitle):
    """Draw the panel between two lines of text and a row of its method's LDS, with every step below its column.

    Args:
        panel: its pixels (height, width, channel). attributes: the panel's own. summary: lds_summary.csv.
    """
    dpi = plt.rcParams["figure.dpi"]
    width, panel_height = panel.shape[1] / dpi, panel.shape[0] / dpi
    height = ABOVE + panel_height + BELOW
    figure = plt.figure(figsize=(width, height))
    figure.figimage(panel, 0, round(BELOW * dpi))
    figure.text(0.1 / width, 1 - 0.17 / height, title, va="center", size=10, weight="bold")
    figure.text(0.1 / width, 1 - 0.38 / height, subtitle, va="center", size=7.5, color=GREY)
    steps = attributes["steps"]
    position = (0.05 + CELL) / width, 0.42 / height, (CELL * (len(steps) - 1) + SIDE) / width, PLOT / height
    by_step(figure.add_axes(position), summary, attributes["method"], steps)
    return figure


def by_step(axes, summary, method, steps):
    """Draw the LDS of a method's largest ensemble at each step, with its interval, and the best possible LDS."""
    rows = summary[summary["method"] == method]
    rows = rows[rows["checkpoints"].fillna(0) == rows["checkpoints"].fillna(0).max()].set_index("step")
    ceiling = summary[summary["method"] == "ceiling"].set_index("step")["mean"]
    for column, t in enumerate(steps):
        x = CELL * column + SIDE / 2
        if t in rows.index:
            row = rows.loc[t]
            axes.plot([x, x], [row["low"], row["high"]], color=BLACK, linewidth=1.2)
            axes.plot(x, row["mean"], "o", color=BLACK, markersize=4)
        if t in ceiling.index:
            axes.plot([x - 0.15, x + 0.15], [ceiling[t]] * 2, color=GREY, linestyle=(0, (2, 1)), linewidth=1.2)
    axes.axhline(0, color=BLACK, linewidth=0.6)
    axes.set_xticks([CELL * column + SIDE / 2 for column in range(len(steps))], [f"t = {t}" for t in steps])
    axes.set(xlim=(0, CELL * (len(steps) - 1) + SIDE), ylabel="LDS")
    best = "; dashes: the best possible" if len(ceiling) else ""
    axes.set_xlabel(f"lines: 95 % intervals{best}; 1 would be a perfect prediction of retraining", size=6.5)


if __name__ == "__main__":
    run(main, ["summary", "overall", "panels*", "out*"])
