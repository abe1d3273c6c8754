"""Lists of training images, judged by halves of the checkpoints or draws, for tables and panels."""

from dataclasses import replace

from waypoint.science.evaluation.stability import judge
from waypoint.science.random_streams import numpy_stream
from waypoint.store.zarr.reader import read
from waypoint.workflow.figures.read_scores import models_of, parts_of


def judged(job, scores, top, listed):
    """Return the lists of a store of scores as ``stability.Judged``, the same wherever lists have this length.

    Args:
        top: length of a list. listed: the ``Listed`` images, among which ranks are counted.
    """
    (parts, _), stream, length = parts_of(scores), None, min(top, len(listed))
    if parts is not None:
        parts = parts[:, :, listed.images]
        stream = numpy_stream(job.settings["seed"], "stability", scores.attrs["method"], scores.attrs["target"])
    lists = judge(read(scores["score"])[:, listed.images], parts, length, stream)
    return replace(lists, images=listed.images[lists.images])


def judged_by(scores):
    """Return whether the lists of a store can be judged, and words that say by what, or why not."""
    parts, kind = parts_of(scores)
    if parts is not None:
        return True, f"{len(parts)} models" if kind == "checkpoints" else "halves of the random draws"
    if models_of(scores) is None:
        return False, "the method uses no model"
    return False, "scores are not stored by model or half"
