"""An image's masks, and the training images with the highest scores for each region (§5.4, Fig. 6)."""

import numpy as np

from waypoint.errors import WaypointError
from waypoint.store.data.image_names import ImageNames
from waypoint.store.zarr.reader import read
from waypoint.workflow.config.regions import pixels
from waypoint.workflow.figures.captions import LINE, Captions
from waypoint.workflow.figures.listed import Listed
from waypoint.workflow.figures.read_scores import in_words, projected
from waypoint.workflow.figures.shown_lists import ALIKE, ShownLists
from waypoint.workflow.figures.style import REGIONS, outline, plt, save, show
from waypoint.workflow.jobs.job import run
from waypoint.workflow.plan.specs import settings_of

TOP = 8  # training images per mask
CELL, REGION, HEADER = 0.92, 1.3, 1.18  # inches
ABOVE, BETWEEN = 0.2, 0.2  # inches for a region's name, and between two rows
FADED = 0.45  # contrast of an image outside the mask


def main(job):
    data, rows, step = job.open(job.args.data), job.settings["masks"], job.settings["figures"]["mask_step"]
    image, files = read(job.open(job.args.trajectory)["image"]), iter(job.args.pngs)
    captions, alike = Captions(ImageNames(data), CELL), False
    listed = Listed(job.open(job.args.near))
    top, line = min(TOP, len(listed)), max(REGION, ABOVE + CELL + 0.1 + LINE * (1 + captions.lines)) + BETWEEN
    width, height = 0.3 + REGION + (CELL + 0.08) * top + 0.1, HEADER + line * len(rows)
    figure = plt.figure(figsize=(width, height))

    def axes(left, down, side):
        return figure.add_axes((left / width, 1 - (down + side) / height, side / width, side / height))

    for r, (row, path) in enumerate(zip(rows, job.args.scores, strict=True)):
        color, style = REGIONS[r % len(REGIONS)]
        down, mask = HEADER + line * r, pixels(row["mask"], _file(row["mask"], files), image.shape[1:])
        region = axes(0.1, down, REGION)
        show(region, np.where(mask > 0, image, FADED * image))
        outline(region, mask, color, style)
        scores = scores_of(job, path, row["mask"])
        lists, at = ShownLists(job, scores, data, listed, captions, top), read(scores["step"]).tolist().index(step)
        alike |= lists.alike(0, at)
        for k in range(top):
            lists.draw(axes(0.3 + REGION + (CELL + 0.08) * k, down + ABOVE, CELL), 0, at, k, (color, style))
        figure.text((0.3 + REGION) / width, 1 - (down + 0.09) / height, row["name"], va="center", size=9, color=color)
    below = f"below each: {lists.below}{f'; {ALIKE}' if alike else ''}"
    header(figure, job, scores, step, [below, lists.key])
    save(figure, job)


def _file(mask, files):
    """Return the next PNG file if the mask is a PNG, None for a box."""
    return None if isinstance(mask, list) else next(files)


def scores_of(job, path, mask):
    """Open one target's scores.

    Raises:
        WaypointError: the scores are of another mask.
    """
    scores = job.open(path)
    if settings_of(scores.attrs["spec"])["target"]["mask"] != mask:
        raise WaypointError(f"{path} holds scores of another mask; delete it and rerun")
    return scores


def header(figure, job, scores, step, words):
    """Write the header: what was run, and how to read the figure.

    Args:
        words: lines that say what stands below each image.
    """
    spec = settings_of(scores.attrs["spec"])
    counts = {"targets": 0, "images": scores["score"].shape[1], "models": len(spec["checkpoints"])}
    lines = [
        (f"{scores.attrs['method']} · target {job.args.target} · t = {step}", {"size": 11, "weight": "bold"}),
        (f"{in_words(counts)}, {projected(spec)}", {"size": 8}),
        ("on the right the training images with the highest scores for what is inside the outline;", {"size": 8}),
        *[(line, {"size": 8}) for line in words],
    ]
    width, height = figure.get_size_inches()
    for line, (text, style) in enumerate(lines):
        figure.text(0.1 / width, 1 - (0.17 + 0.2 * line) / height, text, va="center", **style)


if __name__ == "__main__":
    run(main, ["data", "near", "trajectory", "scores*", "pngs*", "target", "out"])
