"""figures/forgetting.png: how far the same seed's image moves after each method's removals (§5.5, Fig. 7)."""

from waypoint.store.zarr.reader import read
from waypoint.workflow.figures.caveats import with_caveats
from waypoint.workflow.figures.style import method_bars, plt, save, show, side_by_side, styles
from waypoint.workflow.jobs.job import run

BARS, CELL = 5.2, 1.25  # inches
LEGEND = 4  # columns


def main(job):
    table, attributes = job.table(job.args.table)
    stores = {(store.attrs["target"], store.attrs["method"]): store for store in map(job.open, job.args.stores)}
    targets = list(dict.fromkeys(target for target, _ in stores))
    turns = job.settings.get("looks")
    looks = styles([method for target, method in stores if target == targets[0]], turns)
    methods = list(looks)
    columns, height = len(methods) + 1, max(4.2, CELL * len(targets) + 1.3)
    figure = plt.figure(figsize=(BARS + 0.5 + columns, height))
    left, right = side_by_side(figure, (BARS, 0.5 + columns))
    axes = left.subplots()
    legend_rows = -(-len(methods) // LEGEND)
    left.subplots_adjust(0.13, max(0.2, (0.55 + 0.19 * legend_rows) / height), 0.97, 1 - 1 / height)
    method_bars(axes, table, "l2", attributes["train_images"], turns)
    axes.set(ylabel="ℓ2 to the original image (pixels in [−1, 1])")
    left.legend(*axes.get_legend_handles_labels(), loc="lower center", ncols=LEGEND)
    rows = right.subplots(len(targets), columns, squeeze=False)
    right.subplots_adjust(
        0.07, 1 - (1.1 + CELL * len(targets)) / height, 0.99, 1 - 1.1 / height, wspace=0.12, hspace=0.35
    )
    for row, target in zip(rows, targets):
        show_images(row, target, {method: stores[target, method] for method in methods}, looks)
    for axis, method in zip(rows[0], ["original", *methods]):
        axis.set_title(method, size=9, loc="center", color="black")
    figure.suptitle(title(table, attributes), x=0.01, ha="left", fontsize=9.5)
    save(figure, job)


def show_images(row, target, stores, looks):
    """Show the original image and, for every method, the same seed's after its largest removal, with its ℓ2."""
    for axis, (method, store) in zip(row[1:], stores.items()):
        largest = int(read(store["removed"]).argmax())
        show(axis, read(store["image"])[largest, 0], looks[method]["color"], 2)
        axis.set_xlabel(f"{read(store['l2'])[largest, 0]:.2f}", size=8, labelpad=2)
    show(row[0], read(store["original"]), "black", 1)
    row[0].set_ylabel(target, size=8)


def title(table, attributes):
    """Return the figure's title, which describes the run in numbers."""
    targets, models = table["target"].nunique(), attributes["models"]
    text = (
        f"The same seed after retraining without each method's top images (of {attributes['train_images']}) "
        f"at step t = {table['step'][0]}; {targets} target{'s' * (targets > 1)}\n"
        f"bars: mean ± SE over targets (dots); random: mean of {models['random']} removals; "
        f"none: nothing removed, mean of {models['none']} models with other seeds\n"
        f"images: {table['n_remove'].max()} removed, first model of each, its ℓ2 below"
    )
    return with_caveats(text, targets=targets)


if __name__ == "__main__":
    run(main, ["table", "stores*", "out"])
