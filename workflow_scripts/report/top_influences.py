"""tables/top_influences.csv: per method, target and step the training images with the largest and smallest scores."""

import csv

from waypoint.science.evaluation.ranking import top_and_bottom
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.data.image_names import ImageNames
from waypoint.store.zarr.reader import read
from waypoint.workflow.jobs.job import run

COLUMNS = ["method", "target", "step", "rank", "sign", "train", "score", "score_se", "label", "file", "class"]


def main(job):
    names = ImageNames(job.open(job.args.data))
    with atomic_file(job.args.out, job.provenance) as tmp, open(tmp, "w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle)
        table.writerow(COLUMNS)
        for path in job.args.scores:
            scores = job.open(path)
            method, target = scores.attrs["method"], scores.attrs["target"]
            for s, t in enumerate(read(scores["step"])):
                score = read(scores["score"], s)
                error = read(scores["score_se"], s) if "score_se" in scores else None
                for sign, chosen in zip("+-", top_and_bottom(score, job.settings["tables"]["top"])):
                    for rank, i in enumerate(chosen, 1):
                        se = "" if error is None else f"{error[i]:.6g}"
                        image = [names.label_of(i), names.files[i], names.class_of(i)]
                        table.writerow([method, target, t, rank, sign, i, f"{score[i]:.6g}", se, *image])


if __name__ == "__main__":
    run(main, ["data", "scores*", "out"])
