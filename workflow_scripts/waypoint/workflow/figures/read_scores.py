"""Access to the scores of all methods and targets for tables and figures, one store at a time."""

from waypoint.store.zarr.reader import read
from waypoint.workflow.figures.caveats import with_caveats
from waypoint.workflow.plan.specs import settings_of
from waypoint.workflow.words import counted


def read_scores(job):
    """Yield (method, target, steps, score) for each of the job's ``scores``, one store at a time; score is (S, N)."""
    for done, store in enumerate(map(job.open, job.args.scores), 1):
        yield store.attrs["method"], store.attrs["target"], read(store["step"]).tolist(), read(store["score"])
        job.progress(done, len(job.args.scores), "scores")


def parts_of(scores):
    """Return scores with independent noise: of every checkpoint, or of both halves of a single checkpoint's draws.

    Args:
        scores: an open store.

    Returns:
        (P, S, N) float32 and the kind of the parts, or None and "" if fewer than two are stored.
    """
    for name, kind in (("score_by_checkpoint", "checkpoints"), ("score_by_half", "halves of the draws")):
        if name in scores and scores[name].shape[0] > 1:
            return read(scores[name]), kind
    return None, ""


def models_of(scores):
    """Return the number of models behind a method's scores, or None for methods without models."""
    checkpoints = settings_of(scores.attrs["spec"]).get("checkpoints")
    return None if checkpoints is None else len(checkpoints)


def what_ran(job):
    """Return the counts for a figure's title: training images, targets, and models if a method has any."""
    stores = [job.open(path) for path in job.args.scores]
    return {
        "images": stores[0]["score"].shape[1],
        "targets": len({store.attrs["target"] for store in stores}),
        "models": max(len(settings_of(store.attrs["spec"]).get("checkpoints", [])) for store in stores),
    }


def in_words(counts):
    """Return the counts of ``what_ran`` in words, as part of a title."""
    words = [(counts["targets"], "target"), (counts["images"], "training image"), (counts["models"], "model")]
    return ", ".join(counted(count, word) for count, word in words if count)


def titled(subject, counts):
    """Return a figure's title: its subject, the counts of ``what_ran`` in words, and caveats if they are small."""
    return with_caveats(f"{subject}: {in_words(counts)}", targets=counts["targets"], models=counts["models"])


def projected(spec):
    """Return in words how the gradients were projected before they were compared."""
    projection = spec["projection"]
    return "not projected" if projection["kind"] == "none" else f"d = {projection['dim']}"
