"""figures/lds_cross.png: does the score of step s predict the models' outputs at step t?"""

import numpy as np

from waypoint.workflow.figures.style import plt, save
from waypoint.workflow.jobs.job import run


def main(job):
    table, attributes = job.table(job.args.cross)
    methods = list(table["method"].unique())
    bound = max(0.05, table["mean"].abs().max())
    figure, axes = plt.subplots(
        1, len(methods), figsize=(2.6 * len(methods) + 1.2, 3.4), squeeze=False, sharey=True, layout="constrained"
    )
    for axis, method in zip(axes[0], methods):
        matrix = table[table["method"] == method].pivot(index="score_step", columns="output_step", values="mean")
        shown = axis.imshow(matrix, cmap="PuOr_r", vmin=-bound, vmax=bound, origin="lower")
        axis.set_xticks(range(len(matrix.columns)), matrix.columns, rotation=90)
        axis.set_yticks(range(len(matrix.index)), matrix.index)
        axis.set(title=method, xlabel="outputs of step t")
        for s, t in np.argwhere(matrix.abs().to_numpy() > 0.6 * bound):
            axis.text(
                t, s, f"{matrix.iloc[s, t]:.2f}".replace("0.", "."), ha="center", va="center", size=5.5, color="white"
            )
    axes[0][0].set_ylabel("scores of step s")
    figure.colorbar(shown, ax=axes[0], label="mean LDS", shrink=0.8)
    ran = f"{attributes['targets']} targets, {attributes['subsets']} subsets of {attributes['images']} training images"
    figure.suptitle(f"LDS across steps: {ran}", x=0.01, ha="left", fontsize=11)
    save(figure, job)


if __name__ == "__main__":
    run(main, ["cross", "out"])
