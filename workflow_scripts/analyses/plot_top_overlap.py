"""figures/top_overlap.png: the overlap of the top lists of different targets, against t."""

from waypoint.workflow.figures.read_scores import titled
from waypoint.workflow.figures.style import line_style, plt, save, styles, time_axis
from waypoint.workflow.jobs.job import run

ROWS = {
    "overlap": "mean share of the list\nthat two targets have in common",
    "frequency": "share of targets whose list\nholds the most common image",
}


def main(job):
    table, attributes = job.table(job.args.table)
    table = table.sort_values("step", kind="stable")
    counts, steps = sorted(table["top_k"].unique()), sorted(table["step"].unique())
    figure, axes = plt.subplots(
        2, len(counts), figsize=(1 + 3.6 * len(counts), 5.6), sharey="row", squeeze=False, layout="constrained"
    )
    for column, k in zip(axes.T, counts):
        with_k = table[table["top_k"] == k]
        for axis, name in zip(column, ROWS):
            for method, style in styles(table["method"].unique(), job.settings.get("looks")).items():
                rows = with_k[with_k["method"] == method]
                axis.plot(rows["step"], rows[name], label=method, linewidth=1.6, markersize=5, **line_style(style))
            time_axis(axis, steps)
        column[0].axhline(
            with_k["random"].iloc[0], color="black", linestyle="--", linewidth=1.2, label="random lists, K/N"
        )
        column[0].set_title(f"K = {k}")
    for axis, label in zip(axes[:, 0], ROWS.values()):
        axis.set(ylabel=label, ylim=(0, None))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    figure.suptitle(titled("Top lists of different targets", attributes), x=0.01, ha="left", fontsize=11)
    save(figure, job)


if __name__ == "__main__":
    run(main, ["table", "out"])
