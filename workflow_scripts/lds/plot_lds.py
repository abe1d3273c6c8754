"""figures/lds.png: LDS against t for all methods (Fig. 4), and its average over the steps."""

import pandas as pd

from waypoint.workflow.figures.style import line_style, plt, save, styles, time_axis
from waypoint.workflow.jobs.job import run

REFERENCES = {"ceiling": ("--", "best possible"), "retrain": (":", "retraining once")}
FEW = 50  # fewer subsets illustrate, they do not measure


def main(job):
    (table, made), (overall, _) = (job.table(path) for path in (job.args.summary, job.args.overall))
    table, overall = in_order(table), in_order(overall)
    # the names of many methods, and their legend, need room
    size = (9.4, max(4.4, 0.8 + 0.28 * len(overall)))
    figure, (left, right) = plt.subplots(
        1, 2, figsize=size, gridspec_kw={"width_ratios": [2.1, 1]}, layout="constrained"
    )
    looks = styles([name for name in table["method"].unique() if name not in REFERENCES], job.settings.get("looks"))
    for (method, checkpoints), rows in table.groupby(["method", "checkpoints"], dropna=False, sort=False):
        label, style = appearance(looks, table, method, checkpoints)
        left.plot(rows["step"], rows["mean"], label=label, **style)
        if "marker" in style:
            left.fill_between(rows["step"], rows["low"], rows["high"], color=style["color"], alpha=0.15, linewidth=0)
    left.axhline(0, color="black", linewidth=0.8)
    time_axis(left, sorted(table["step"].unique()))
    left.set(ylabel="LDS (Spearman correlation)", title="by step; bands: 95 % bootstrap intervals")
    averages(right, looks, table, overall)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.suptitle(title(made), x=0.01, ha="left", fontsize=11)
    save(figure, job)


def in_order(table):
    """Methods as configured, the largest ensemble of each first; references last."""
    methods = [*table["method"].unique()]
    table = table.assign(order=table["method"].map(methods.index), size=-table["checkpoints"].fillna(0))
    return table.sort_values(["order", "size"], kind="stable").drop(columns=["order", "size"])


def appearance(looks, table, method, checkpoints):
    """Label and line style of one row of methods: references in black, smaller ensembles thin and dashed."""
    if method in REFERENCES:
        line, label = REFERENCES[method]
        return f"{method} ({label})", {"color": "black", "linestyle": line, "linewidth": 1.2}
    known = pd.notna(checkpoints)
    look = looks[method]
    label = f"{method}, {checkpoints:.0f} model{'s' if checkpoints > 1 else ''}" if known else method
    if known and checkpoints < table.loc[table["method"] == method, "checkpoints"].max():
        return label, {
            "color": look["color"],
            "linestyle": "-." if checkpoints > 1 else ":",
            "linewidth": 1.2,
        }
    return label, {**line_style(look), "linewidth": 1.8, "markersize": 5}


def averages(axes, looks, table, overall):
    """One row per method: its average over the steps with its interval."""
    shown = overall.iloc[::-1].reset_index(drop=True)
    labels = []
    for y, row in shown.iterrows():
        label, style = appearance(looks, table, row["method"], row["checkpoints"])
        axes.plot(
            [row["low"], row["high"]], [y, y], color=style["color"], linewidth=2.5, solid_capstyle="butt", alpha=0.5
        )
        axes.plot(row["mean"], y, color=style["color"], marker=style.get("marker", "D"), markersize=6)
        labels.append(label)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="LDS", title="average over the steps")


def title(made):
    """The figure's title: what was run, in numbers."""
    each = "1 model" if made["models_per_subset"] == 1 else f"{made['models_per_subset']} models"
    ran = (
        f"LDS: {made['targets']} targets, {made['subsets']} random subsets of {made['images']} training images, "
        f"{each} each"
    )
    if made["subsets"] < FEW:
        ran += "\nAn illustration: so few subsets give wide intervals. Measured results: docs/results/README.md"
    return ran


if __name__ == "__main__":
    run(main, ["summary", "overall", "out"])
