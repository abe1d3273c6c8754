"""figures/seed_consistency.png: do two models make the same image of the same noise (B.1)?"""

from typing import cast

import numpy as np
from matplotlib.ticker import MaxNLocator

from waypoint.store.zarr.reader import read
from waypoint.workflow.figures.style import plt, save, show, side_by_side
from waypoint.workflow.jobs.job import run

COLUMNS = 8
NOISES = {"same": ("#0072B2", "//", "-"), "independent": ("#E69F00", "..", "--")}


def main(job):
    store, (table, _) = job.open(job.args.store), job.table(job.args.table)
    names, same, other = read(store["model"]), read(store["image"]), read(store["independent"])
    shown = min(COLUMNS, same.shape[1])
    rows = [
        (f"{names[0]}", same[0]),
        (f"{names[1]}\nsame noise", same[1]),
        (f"{names[1]}\nindependent noise", other[1]),
    ]
    figure = plt.figure(figsize=(9.6, 3.4), layout="constrained")
    left, right = side_by_side(figure, (1.7, 1))
    axes = left.subplots(len(rows), shown, squeeze=False)
    for line, (label, images) in zip(axes, rows):
        for axis, image in zip(line, images):
            show(axis, image)
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
    axis = right.subplots()
    pairs = table.groupby(["model_a", "model_b"]).ngroups
    bins = np.linspace(0, table["l2"].max() * 1.02, 16)
    for noise, (color, hatch, line) in NOISES.items():
        values = table.loc[table["noise"] == noise, "l2"]
        label = f"{noise} noise, median {values.median():.2f}"
        axis.hist(values, bins, color=color, alpha=0.55, hatch=hatch, edgecolor="white", label=label)
        axis.axvline(values.median(), color=color, linestyle=line, linewidth=2)
    axis.set(xlabel="ℓ2 distance of the two images (pixels in [−1, 1])", ylabel="pairs of images")
    cast(MaxNLocator, axis.yaxis.get_major_locator()).set_params(integer=True)
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1))  # above the axes: inside, it would cover the medians
    seeds = same.shape[1]
    ran = f"{seeds} seed{'s' * (seeds > 1)}, {pairs} pair{'s' if pairs > 1 else ''} of models"
    if store.attrs["images"]:
        ran += f", {store.attrs['images']} training images"
    figure.suptitle(f"Seed consistency: {ran}", x=0.01, ha="left", fontsize=11)
    save(figure, job)


if __name__ == "__main__":
    run(main, ["store", "table", "out"])
