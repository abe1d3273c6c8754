"""An image's masks, and the training images with the highest scores for each region (§5.4, Fig. 6)."""

import numpy as np

from waypoint.errors import WaypointError
from waypoint.science.evaluation.ranking import top_and_bottom
from waypoint.store.data.image_names import ImageNames
from waypoint.store.zarr.reader import read
from waypoint.workflow.config.regions import pixels
from waypoint.workflow.figures.captions import LINE, Captions, signed
from waypoint.workflow.figures.listed import Listed
from waypoint.workflow.figures.read_scores import in_words, projected
from waypoint.workflow.figures.style import REGIONS, outline, plt, save, show
from waypoint.workflow.jobs.job import run
from waypoint.workflow.plan.specs import settings_of

TOP = 8  # training images per mask
CELL, REGION, HEADER = 0.92, 1.3, 0.98  # inches
ABOVE, BETWEEN = 0.2, 0.2  # inches for a region's name, and between two rows
FADED = 0.45  # contrast of an image outside the mask


def main(job):
    data, rows, step = job.open(job.args.data), job.settings["masks"], job.settings["figures"]["mask_step"]
    image, files = read(job.open(job.args.trajectory)["image"]), iter(job.args.pngs)
    images, captions = data["image"], Captions(ImageNames(data), CELL)
    listed = Listed(job.open(job.args.near))
    top, line = min(TOP, len(listed)), max(REGION, ABOVE + CELL + 0.1 + LINE * (1 + captions.lines)) + BETWEEN
    width, height = 0.3 + REGION + (CELL + 0.08) * top + 0.1, HEADER + line * len(rows)
    figure, marked = plt.figure(figsize=(width, height)), False

    def axes(left, down, side):
        return figure.add_axes((left / width, 1 - (down + side) / height, side / width, side / height))

    for r, (row, path) in enumerate(zip(rows, job.args.scores, strict=True)):
        color, style = REGIONS[r % len(REGIONS)]
        down, mask = HEADER + line * r, pixels(row["mask"], _file(row["mask"], files), image.shape[1:])
        region = axes(0.1, down, REGION)
        show(region, np.where(mask > 0, image, FADED * image))
        outline(region, mask, color, style)
        score = scores_at(job, path, row["mask"], step)
        shown = listed.images[top_and_bottom(score[listed.images], top)[0]]
        marked |= any(map(listed.mark, shown))
        for k, i in enumerate(shown):
            cell = axes(0.3 + REGION + (CELL + 0.08) * k, down + ABOVE, CELL)
            show(cell, read(images, int(i)), color, 2.2, style)
            captions.below(cell, i, signed(score[i]) + listed.mark(i))
        figure.text((0.3 + REGION) / width, 1 - (down + 0.09) / height, row["name"], va="center", size=9, color=color)
    header(figure, job, step, f"{captions.words}{'; ×3: one of three that show the same' if marked else ''}")
    save(figure, job)


def _file(mask, files):
    """Return the next PNG file if the mask is a PNG, None for a box."""
    return None if isinstance(mask, list) else next(files)


def scores_at(job, path, mask, step):
    """Read one target's scores at a step: (N,).

    Raises:
        WaypointError: the scores are of another mask.
    """
    scores = job.open(path)
    if settings_of(scores.attrs["spec"])["target"]["mask"] != mask:
        raise WaypointError(f"{path} holds scores of another mask; delete it and rerun")
    return read(scores["score"], read(scores["step"]).tolist().index(step))


def header(figure, job, step, words):
    """Write the header: what was run, and how to read the figure; ``words`` say what stands below each image."""
    scores = job.open(job.args.scores[0])
    spec = settings_of(scores.attrs["spec"])
    counts = {"targets": 0, "images": scores["score"].shape[1], "models": len(spec["checkpoints"])}
    lines = [
        (f"{scores.attrs['method']} · target {job.args.target} · t = {step}", {"size": 11, "weight": "bold"}),
        (f"{in_words(counts)}, {projected(spec)}", {"size": 8}),
        ("on the right the training images with the highest scores for what is inside the outline;", {"size": 8}),
        (f"below each: score, {words}", {"size": 8}),
    ]
    width, height = figure.get_size_inches()
    for line, (text, style) in enumerate(lines):
        figure.text(0.1 / width, 1 - (0.17 + 0.2 * line) / height, text, va="center", **style)


if __name__ == "__main__":
    run(main, ["data", "near", "trajectory", "scores*", "pngs*", "target", "out"])
