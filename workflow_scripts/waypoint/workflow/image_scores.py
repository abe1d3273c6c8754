"""Single training images' scores over all targets, methods and steps: tables/scores_of_images.csv, and `make image`."""

from waypoint.science.evaluation.sign_overlap import ranks
from waypoint.store.data.image_names import find
from waypoint.store.zarr.reader import read

COLUMNS = ["file", "train", "target", "method", "step", "score", "score_se", "rank"]


def listed(files, wanted, where):
    """Indices of the images that a list of names, patterns and indices means, each once, in the order of the list.

    Args:
        files: (N) names. where: the list's key, for messages.

    Raises:
        WaypointError: as ``image_names.find``; names the entry.
    """
    return list(dict.fromkeys(i for k, entry in enumerate(wanted) for i in find(files, entry, f"{where}[{k}]")))


def rows_of(scores, chosen, names):
    """Iterate over the rows, by COLUMNS, of some images in one target's scores by one method: step by step for each.

    A rank counts from the largest score, 1; of equal scores the lower index comes first.

    Args:
        scores: open store, with ``method`` and ``target`` among its attributes. chosen: indices of the images.
        names: an ``ImageNames``.
    """
    steps, score = read(scores["step"]).tolist(), read(scores["score"])
    error, places = read(scores["score_se"]) if "score_se" in scores else None, ranks(score)[0]
    of = [scores.attrs["target"], scores.attrs["method"]]
    for i in chosen:
        for s, t in enumerate(steps):
            se = "" if error is None else f"{error[s, i]:.6g}"
            yield [names.files[i], i, *of, t, f"{score[s, i]:.6g}", se, int(places[s, i])]
