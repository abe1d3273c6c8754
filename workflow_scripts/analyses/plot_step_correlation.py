"""figures/step_correlation.png: agreement of two steps' scores against their distance (B.5)."""

from waypoint.science.evaluation.lds import mean_over_targets
from waypoint.workflow.figures.read_scores import titled
from waypoint.workflow.figures.style import line_style, plt, save, styles
from waypoint.workflow.jobs.job import run


def main(job):
    table, attributes = job.table(job.args.table)
    table["distance"] = table["step_b"] - table["step_a"]
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    looks = styles(table["method"].unique(), job.settings.get("looks"))
    for method, rows in table.groupby("method", sort=False):
        by_target = rows.pivot_table("spearman", "target", "distance")  # the mean of a target's pairs at each distance
        mean, error = mean_over_targets(by_target.to_numpy())
        axes.plot(by_target.columns, mean, label=method, linewidth=1.8, markersize=5, **line_style(looks[method]))
        axes.fill_between(
            by_target.columns, mean - error, mean + error, color=looks[method]["color"], alpha=0.2, linewidth=0
        )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel="distance of the two steps |s − t|", ylabel="Spearman correlation of their scores", xlim=(0, None))
    axes.set_title("mean over targets; bands: ± standard error over targets")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.suptitle(titled("Step correlation", attributes), x=0.01, ha="left", fontsize=11)
    save(figure, job)


if __name__ == "__main__":
    run(main, ["table", "out"])
