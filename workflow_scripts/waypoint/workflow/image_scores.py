"""Scores of single training images for all targets, methods and steps: tables/scores_of_images.csv and `make image`."""

from waypoint.science.evaluation.sign_overlap import ranks
from waypoint.store.data.image_names import NameIndex
from waypoint.store.zarr.reader import read

COLUMNS = ["file", "train", "target", "method", "step", "score", "score_se", "rank"]


def listed_indices(files, entries, key):
    """Return the indices of the images that a list of names, patterns and indices selects, in order, without repeats.

    Args:
        files: (N) names. key: the list's key, for messages.

    Raises:
        WaypointError: as ``image_names.find``; names the entry.
    """
    index = NameIndex(files)
    return list(dict.fromkeys(i for k, entry in enumerate(entries) for i in index.find(entry, f"{key}[{k}]")))


def rows_of(scores, images, names):
    """Iterate over table rows (see COLUMNS) of some images, image by image and step by step, for one target and method.

    The largest score has rank 1; among equal scores the lower index comes first.

    Args:
        scores: an open store with the attributes ``method`` and ``target``. images: indices of the images.
        names: an ``ImageNames``.
    """
    steps, score = read(scores["step"]).tolist(), read(scores["score"])
    error, rank_of = read(scores["score_se"]) if "score_se" in scores else None, ranks(score)[0]
    origin = [scores.attrs["target"], scores.attrs["method"]]
    for i in images:
        for s, t in enumerate(steps):
            se = "" if error is None else f"{error[s, i]:.6g}"
            yield [names.files[i], i, *origin, t, f"{score[s, i]:.6g}", se, int(rank_of[s, i])]
