"""tables/forgetting.csv: how far the same seed's image moves after retraining without top images (§5.5, Fig. 7)."""

import pandas as pd

from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.zarr.reader import read
from waypoint.workflow.jobs.job import run
from waypoint.workflow.plan.specs import settings_of


def main(job):
    stores = [job.open(path) for path in job.args.stores]
    rows = [row for store in stores for row in rows_of(store)]
    models = {store.attrs["method"]: store["l2"].shape[1] for store in stores}
    attributes = {"train_images": stores[0].attrs["train_images"], "models": models}
    with atomic_file(job.args.out, lambda: job.provenance(**attributes)) as tmp:
        pd.DataFrame(rows).drop_duplicates().to_csv(tmp, index=False, float_format="%.6g")


def rows_of(store):
    """Yield rows of one method and target: ℓ2 in pixel space, the mean over random removals or full-set models."""
    step = settings_of(store.attrs["spec"])["forgetting"]["step"]
    for removed, l2 in zip(read(store["removed"]), read(store["l2"])):
        row = {"method": store.attrs["method"], "target": store.attrs["target"], "step": step}
        yield {**row, "n_remove": removed, "l2": l2.mean()}


if __name__ == "__main__":
    run(main, ["stores*", "out"])
