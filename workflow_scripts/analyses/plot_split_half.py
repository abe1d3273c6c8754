"""figures/split_half.png: how well halves of the checkpoints and of the draws agree, against t."""

from waypoint.errors import WaypointError
from waypoint.workflow.figures.read_scores import titled
from waypoint.workflow.figures.style import plt, save, time_axis
from waypoint.workflow.jobs.job import run

STYLES = {
    "checkpoints": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "draws": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
}


def main(job):
    table, attributes = job.table(job.args.table)
    if table.empty:
        raise WaypointError(f"{job.args.table} is empty: one checkpoint has no halves; leave out evaluation.split_half")
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.6), layout="constrained")
    for halves, style in STYLES.items():
        rows = table[table["halves"] == halves]
        if rows.empty:
            continue
        steps = rows.groupby("step")["spearman"]
        mean, spread = steps.mean(), steps.sem()
        left.plot(mean.index, mean, label=f"halves of the {halves}", **style)
        left.fill_between(mean.index, mean - spread, mean + spread, color=style["color"], alpha=0.15, linewidth=0)
        full = rows.groupby("step")["full"].mean()
        left.plot(full.index, full, color=style["color"], linewidth=1, linestyle=":", label=f"expected of all {halves}")
    left.axhline(0, color="black", linewidth=0.8)
    left.set(ylabel="Spearman correlation", title="agreement of two halves; bands: standard error")
    signal = table[table["halves"] == "checkpoints"].groupby("step")["signal"].mean()
    right.plot(signal.index, signal, color="#0072B2", marker="o")
    right.axhline(1, color="black", linewidth=0.8)
    right.set(ylabel="sd of scores / their standard error", title="signal against noise", ylim=(0, None))
    for axes in (left, right):
        time_axis(axes, sorted(table["step"].unique()))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    counts = {"targets": attributes["targets"], "images": attributes["images"], "models": attributes["checkpoints"]}
    title = titled(f"Reliability of {attributes['method']} scores without retraining", counts)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    save(figure, job)


if __name__ == "__main__":
    run(main, ["table", "out"])
