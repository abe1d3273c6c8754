"""Training images of lists as figures show them: in colour with ✓ if found, in grey if not told from noise."""

import numpy as np

from waypoint.store.zarr.reader import read
from waypoint.workflow.figures.captions import signed
from waypoint.workflow.figures.judged import judged, judged_by
from waypoint.workflow.figures.style import GREEN, RED, show

GREY = "#8A8A8A"  # of images that are not found
THIN = "\N{THIN SPACE}"  # keeps long numbers from touching the next image's
SIDES = [(GREEN, "-"), (RED, (0, (2, 1.8)))]  # colour and style of the frames of the highest and of the lowest scores
ALIKE = "×3: one of three images that show the same, named once"


class ShownLists:
    """The lists of one store of scores, with the same verdicts as tables/top_influences.csv.

    Attributes:
        below: words for what stands below each image.
        key: words for ✓ and grey, or why no image can be confirmed.

    Args:
        scores: the open store. data: the open data/train.zarr. listed: the ``Listed`` images.
        captions: a figure's ``Captions``. top: how many images of a list are shown at most.
    """

    def __init__(self, job, scores, data, listed, captions, top):
        self._images, self._listed, self._captions, self.top = data["image"], listed, captions, top
        self._lists = judged(job, scores, max(top, job.settings["tables"]["top"]), listed)
        self._score = self._numbers(scores["score"])
        self._error = self._numbers(scores["score_se"]) if "score_se" in scores else None
        self.below = f"score{'' if self._error is None else ' ± its error'}, {captions.words}"
        has_judgement, by = judged_by(scores)
        found = f"✓: found, confirmed by {by}; grey: not told from noise"
        self.key = found if has_judgement else f"no ✓: nothing can be confirmed, because {by}"

    def _numbers(self, array):
        """Return the values of an array (step, train) at the listed images: (2, S, K)."""
        values = read(array)
        return np.stack([np.take_along_axis(values, images, 1) for images in self._lists.images])

    def alike(self, sides: int | slice = slice(None), rows: int | list[int] | slice = slice(None)):
        """Return whether images that are shown on some sides, at some rows of ``step``, have near-duplicates."""
        return any(self._listed.alike(i) > 1 for i in np.unique(self._lists.images[sides, rows, : self.top]))

    def draw(self, axis, side, row, k, look=None):
        """Draw the image in place k of a list, and below it its score, ✓, the size of its cluster, and its caption.

        Args:
            side: 0 for the highest scores, 1 for the lowest. row: of ``step``.
            look: colour and style of the frame; default: the side's.
        """
        i, confirmed = int(self._lists.images[side, row, k]), bool(self._lists.found[side, row, k])
        color, style = look or SIDES[side]
        show(axis, read(self._images, i), color if confirmed else GREY, 2.2 if confirmed else 1.2, style)
        number = signed(self._score[side, row, k])
        if self._error is not None:
            number += f"{THIN}±{THIN}{self._error[side, row, k]:.1g}"
        self._captions.below(axis, i, f"{number}{THIN + '✓' if confirmed else ''}{self._listed.mark(i)}")
        axis.xaxis.label.set_color("black" if confirmed else GREY)
