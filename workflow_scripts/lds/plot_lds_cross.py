"""figures/lds_cross.png: does the score of step s predict the models' outputs at step t?"""

import numpy as np
from matplotlib.patches import Rectangle
from scipy import stats

from waypoint.workflow.figures.caveats import with_caveats
from waypoint.workflow.figures.style import plt, save
from waypoint.workflow.jobs.job import run
from waypoint.workflow.words import counted

COLUMNS = 4  # methods in a row, at most
PANEL, AROUND = 2.15, (1.5, 1.35)  # inches
SHARE = 0.6  # of the largest value: cells above it show their number


def main(job):
    table, attributes = job.table(job.args.cross)
    methods = list(table["method"].unique())
    rows = -(-len(methods) // COLUMNS)
    columns = -(-len(methods) // rows)
    bound = max(0.05, table["mean"].abs().max())
    size = PANEL * columns + AROUND[0], (PANEL + 0.25) * rows + AROUND[1]
    figure, axes = plt.subplots(
        rows, columns, figsize=size, squeeze=False, sharex=True, sharey=True, layout="constrained"
    )
    for axis, method in zip(axes.flat, methods):
        heatmap = cells(axis, table[table["method"] == method], attributes["targets"], bound)
        axis.set_title(method)
    for axis in axes.flat[len(methods) :]:
        axis.set_visible(False)
    for k in range(len(methods) - columns, len(methods)):  # the lowest panel of each column
        axes.flat[k].set_xlabel("outputs of step t")
        axes.flat[k].tick_params(labelbottom=True)
    for axis in axes[:, 0]:
        axis.set_ylabel("scores of step s")
    figure.colorbar(heatmap, ax=axes, label="mean LDS", shrink=0.8)
    sizes = {name: attributes[name] for name in ("targets", "subsets")}
    run_line = f"{counted(sizes['targets'], 'target')}, {counted(sizes['subsets'], 'subset')}"
    run_line += f" of {attributes['images']} training images"
    direction = "noise on the left and above, image on the right and below"
    hatched = (
        "hatched: the 95 % interval over targets holds 0" if sizes["targets"] > 1 else "one target has no interval"
    )
    title = with_caveats(f"LDS across steps: {run_line}\n{direction}; {hatched}", **sizes)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    save(figure, job)


def cells(axis, rows, targets, bound):
    """Draw one method's square of steps, from noise to image as in figures/lds.png."""
    mean, error = (rows.pivot(index="score_step", columns="output_step", values=name) for name in ("mean", "se"))
    mean, error = (part.sort_index(ascending=False).sort_index(axis=1, ascending=False) for part in (mean, error))
    heatmap = axis.imshow(mean, cmap="PuOr_r", vmin=-bound, vmax=bound)
    stride = 1 if len(mean) <= 5 else 2
    axis.set_xticks(range(0, len(mean.columns), stride), mean.columns[::stride])
    axis.set_yticks(range(0, len(mean.index), stride), mean.index[::stride])
    half = stats.t.ppf(0.975, targets - 1) * error if targets > 1 else error * np.nan
    for s, t in np.argwhere((mean.abs() <= half).to_numpy()):
        square = Rectangle((t - 0.5, s - 0.5), 1, 1, fill=False, hatch="////", edgecolor="#9A9A9A", linewidth=0)
        axis.add_patch(square)
    for s, t in np.argwhere(mean.abs().to_numpy() > SHARE * bound):
        number = f"{mean.iloc[s, t]:.2f}".replace("0.", ".")
        axis.text(t, s, number, ha="center", va="center", size=6, color="white")
    return heatmap


if __name__ == "__main__":
    run(main, ["cross", "out"])
