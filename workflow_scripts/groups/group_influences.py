"""evaluation/groups/{target}.csv: the scores of groups of training images, beside those of random groups."""

import csv
import math
from functools import partial

import numpy as np

from waypoint.science.evaluation import groups as science
from waypoint.science.evaluation.neighbours import nearest, normalised, pooled
from waypoint.science.random_streams import numpy_stream
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.data.group_members import classes_of, members
from waypoint.store.data.image_names import ImageNames
from waypoint.store.zarr.reader import blocks, read
from waypoint.workflow.figures.read_scores import models_of, parts_of
from waypoint.workflow.jobs.job import run

COLUMNS = "method target step group size score se percentile random_mean random_sd z null p p_kind q found checkpoints"
COLUMNS += " null_low null_high"
MOST_DRAWS = 4 * science.DRAWS  # limit on neighbourhoods: most are around a large group's own images


def main(job):
    settings, data = job.settings["groups"], job.open(job.args.data)
    names = ImageNames(data)
    lists = dict(zip(sorted(settings["files"]), job.args.lists, strict=True))
    groups = members(names.files, lists, classes_of(data, settings["by"], names), settings["by"])
    orders = draw_orders(job, data, [len(images) for images in groups.values()])
    with atomic_file(job.args.out, job.provenance) as tmp, open(tmp, "w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle)
        table.writerow(COLUMNS.split())
        for done, scores in enumerate(map(job.open, job.args.scores), 1):
            table.writerows(rows(scores, groups, orders))
            job.progress(done, len(job.args.scores), "methods")


def draw_orders(job, data, sizes):
    """Draw both nulls, the same for all methods of a target: {null: orders (B, longest)}."""
    n, longest = data["image"].shape[0], max(sizes)
    vectors = job.open(job.args.embeddings)["embedding"] if job.args.embeddings else data["image"]
    transform = normalised if job.args.embeddings else pooled
    vectors = np.concatenate([transform(rows) for _, rows in blocks(vectors)])
    stream = partial(numpy_stream, job.settings["seed"], "groups", job.args.target)
    # neighbourhoods of a group's own images do not count for it: draw enough to leave as many as random groups
    count = min(MOST_DRAWS, math.ceil(science.DRAWS / (1 - longest / n)))
    return {
        "random": science.random_orders(stream("random"), n, longest),
        "neighbourhoods": science.neighbour_orders(
            stream("neighbourhoods"), n, partial(nearest, vectors, longest=longest), count
        ),
    }


def rows(scores, groups, orders):
    """Yield a method's rows: both nulls of every group at every step."""
    score, steps, chosen = read(scores["score"]), read(scores["step"]).tolist(), list(groups.values())
    sums, (parts, _) = science.group_sums(score, chosen), parts_of(scores)
    part_sums = None if parts is None else science.group_sums(parts, chosen)
    error, models = science.error_of_sums(part_sums), models_of(scores)
    nulls = {
        "random": science.random_null(score, chosen, orders["random"]),
        "neighbourhoods": science.neighbourhood_null(score, chosen, orders["neighbourhoods"]),
    }
    standing = {name: science.standing(sums, null) for name, null in nulls.items()}
    q = {name: science.q_values(standing[name][1]) for name in nulls}
    intervals = {name: science.chance_interval(null) for name, null in nulls.items()}
    found = discovered(sums, error, parts, nulls, q)
    # scores that are estimates of unknown error cannot be called found
    unknown = error is None and (models is not None or "score_se" in scores)
    for s, t in enumerate(steps):
        for g, (name, images) in enumerate(groups.items()):
            se = "" if error is None else f"{error[s, g]:.6g}"
            for null, of_null in nulls.items():
                z, p, normal, percentile = (values[s, g] for values in standing[null])
                chance = [f"{percentile:.4g}", f"{of_null.mean[s, g]:.6g}", f"{of_null.sd[s, g]:.6g}", f"{z:.6g}"]
                test = [null, f"{p:.6g}", "normal" if normal else "permutation", f"{q[null][s, g]:.6g}"]
                row = [scores.attrs["method"], scores.attrs["target"], t, name, len(images), f"{sums[s, g]:.6g}", se]
                interval = ["" if np.isnan(bound[s, g]) else f"{bound[s, g]:.6g}" for bound in intervals[null]]
                answer = ["" if unknown else found[s, g], "" if models is None else models]
                yield [*row, *chance, *test, *answer, *interval]


def discovered(sums, error, parts, nulls, q):
    """Return whether q is small under the stricter null and the error's interval excludes that null's mean: (S, G)."""
    kinds = list(nulls)
    stricter = np.argmax([q[kind] for kind in kinds], axis=0)[None]
    worst, mean = (
        np.take_along_axis(np.array(values), stricter, 0)[0]
        for values in ([q[kind] for kind in kinds], [nulls[kind].mean for kind in kinds])
    )
    excluded = True if error is None else science.excluded(sums, error, len(parts), mean)
    return (worst <= science.LEVEL) & excluded


if __name__ == "__main__":
    run(main, ["data", "scores*", "embeddings?", "lists*", "target", "out"])
