"""tables/top_influences.csv: per method, target and step the training images with the largest and smallest scores."""

import csv

from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.data.image_names import ImageNames
from waypoint.store.zarr.reader import read
from waypoint.workflow.figures.judged import judged
from waypoint.workflow.figures.listed import Listed
from waypoint.workflow.figures.read_scores import parts_of
from waypoint.workflow.jobs.job import run

COLUMNS = ["method", "target", "step", "rank", "sign", "train", "score", "score_se", "label", "file", "class"]
JUDGED = ["rank_low", "rank_high", "found"]
COLUMNS += [*JUDGED, "alike"]


def main(job):
    names, listed = ImageNames(job.open(job.args.data)), Listed(job.open(job.args.near))
    with atomic_file(job.args.out, job.provenance) as tmp, open(tmp, "w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle)
        table.writerow(COLUMNS)
        for done, scores in enumerate(map(job.open, job.args.scores), 1):
            table.writerows(rows(scores, judged(job, scores, job.settings["tables"]["top"], listed), names, listed))
            job.progress(done, len(job.args.scores), "scores")


def rows(scores, lists, names, listed):
    """Yield the rows of one target's scores by one method; ranks and found are empty if unknown."""
    source, has_judgement = [scores.attrs["method"], scores.attrs["target"]], parts_of(scores)[0] is not None
    for s, t in enumerate(read(scores["step"])):
        score = read(scores["score"], s)
        error = read(scores["score_se"], s) if "score_se" in scores else None
        for side, sign in enumerate("+-"):
            for k, i in enumerate(lists.images[side, s]):
                se = "" if error is None else f"{error[i]:.6g}"
                image = [names.label_of(i), names.files[i], names.class_of(i)]
                judgement = [getattr(lists, column)[side, s, k] if has_judgement else "" for column in JUDGED]
                yield [*source, t, k + 1, sign, i, f"{score[i]:.6g}", se, *image, *judgement, listed.alike(i)]


if __name__ == "__main__":
    run(main, ["data", "near", "scores*", "out"])
