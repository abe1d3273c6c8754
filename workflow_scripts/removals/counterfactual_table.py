"""tables/counterfactual_fid.csv: how retraining without a method's top images changes samples of p(·|x_t) (Fig. 5)."""

import pandas as pd

from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.zarr.reader import read
from waypoint.workflow.jobs.job import run
from waypoint.workflow.plan.specs import settings_of


def main(job):
    originals = {store.attrs["target"]: store for store in map(job.open, job.args.originals)}
    rows = [row for path in job.args.without for row in rows_of(job.open(path), originals)]
    store = next(iter(originals.values()))
    attributes = {"train_images": store.attrs["train_images"], "baselines": store["baseline"].shape[0]}
    with atomic_file(job.args.out, lambda: job.provenance(**attributes)) as tmp:
        pd.DataFrame(rows).drop_duplicates().to_csv(tmp, index=False, float_format="%.6g")


def rows_of(store, originals):
    """Yield rows of one method and target: the distance to the original images, and that of full-set models."""
    original, settings = originals[store.attrs["target"]], settings_of(store.attrs["spec"])["counterfactual"]
    baseline = read(original["fid_baseline"]).mean()
    for removed, distances in zip(read(store["removed"]), read(store["fid"])):
        row = {"method": store.attrs["method"], "target": store.attrs["target"]}
        row |= {
            "step": settings["step"],
            "delta": settings["delta"],
            "n_remove": removed,
            "features": store.attrs["features"],
        }
        fid = distances.mean()
        row |= {"fid": fid, "fid_baseline": baseline, "fid_increase": fid - baseline, "images": settings["images"]}
        yield {**row, "note": f"mean of {len(distances)} removals" if len(distances) > 1 else ""}


if __name__ == "__main__":
    run(main, ["originals*", "without*", "out"])
