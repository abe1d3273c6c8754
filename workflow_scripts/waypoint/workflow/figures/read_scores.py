"""Scores of all methods and targets, read one store at a time for tables and figures."""

from waypoint.store.zarr.reader import read
from waypoint.workflow.figures.caveats import with_caveats
from waypoint.workflow.plan.specs import settings_of
from waypoint.workflow.words import counted


def read_scores(job):
    """Iterate (method, target, steps, score) over the job's ``scores``, one store at a time; score is (S, N)."""
    for done, store in enumerate(map(job.open, job.args.scores), 1):
        yield store.attrs["method"], store.attrs["target"], read(store["step"]).tolist(), read(store["score"])
        job.progress(done, len(job.args.scores), "scores")


def parts_of(scores):
    """Scores with independent noise: those of every checkpoint, or of both halves of the draws of a single one.

    Args:
        scores: open store.

    Returns:
        (P, S, N) float32 and what the parts are, or None and "" where fewer than two are kept.
    """
    for name, parts in (("score_by_checkpoint", "checkpoints"), ("score_by_half", "halves of the draws")):
        if name in scores and scores[name].shape[0] > 1:
            return read(scores[name]), parts
    return None, ""


def models_of(scores):
    """The number of models from which a method's scores come, or None for methods without models."""
    checkpoints = settings_of(scores.attrs["spec"]).get("checkpoints")
    return None if checkpoints is None else len(checkpoints)


def what_ran(job):
    """Numbers for a figure's title: training images, targets, and models where a method has any."""
    stores = [job.open(path) for path in job.args.scores]
    return {
        "images": stores[0]["score"].shape[1],
        "targets": len({store.attrs["target"] for store in stores}),
        "models": max(len(settings_of(store.attrs["spec"]).get("checkpoints", [])) for store in stores),
    }


def in_words(ran):
    """``what_ran`` as a part of a title."""
    words = [(ran["targets"], "target"), (ran["images"], "training image"), (ran["models"], "model")]
    return ", ".join(counted(count, word) for count, word in words if count)


def titled(what, ran):
    """A figure's title: what it shows, ``what_ran`` in words, and how little that is where it is little."""
    return with_caveats(f"{what}: {in_words(ran)}", targets=ran["targets"], models=ran["models"])


def projected(spec):
    """How the gradients were projected before they were compared, in words."""
    projection = spec["projection"]
    return "not projected" if projection["kind"] == "none" else f"d = {projection['dim']}"
