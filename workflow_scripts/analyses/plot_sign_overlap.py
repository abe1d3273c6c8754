"""figures/sign_overlap.png: share of targets with an image that changes sides, against K (B.4)."""

import numpy as np

from waypoint.science.evaluation.sign_overlap import random_sign_overlap
from waypoint.workflow.figures.read_scores import titled
from waypoint.workflow.figures.style import line_style, plt, save, styles
from waypoint.workflow.jobs.job import run


def main(job):
    table, attributes = job.table(job.args.table)
    steps, largest = int(table["steps"].iloc[0]), int(table["top_k"].max())
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    k = np.linspace(0, largest, 200)
    expected = random_sign_overlap(attributes["images"], steps, k)
    axes.plot(
        k, expected, color="black", linestyle="--", linewidth=1.4, zorder=3, label="independent random scores (formula)"
    )
    looks = styles(table["method"].unique(), job.settings.get("looks"))
    for method, rows in table.groupby("method", sort=False):
        style = line_style(looks[method])
        axes.plot(rows["top_k"], rows["observed"], label=method, linewidth=1.6, markersize=6, **style)
    axes.set(xlabel="K, length of the top and bottom lists", ylabel="share of targets", ylim=(-0.03, 1.03))
    axes.set(xticks=sorted(table["top_k"].unique()), xlim=(0, 1.03 * largest))
    axes.set_title(f"with an image in the top K at one step, in the bottom K at another, of {steps} steps")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.suptitle(titled("Sign overlap", attributes), x=0.01, ha="left", fontsize=11)
    save(figure, job)


if __name__ == "__main__":
    run(main, ["table", "out"])
