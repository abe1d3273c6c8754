"""evaluation/seed_consistency.zarr and its table: two models' images from the same and from independent noise (B.1)."""

import itertools
import json

import numpy as np
import pandas as pd

from waypoint.errors import WaypointError
from waypoint.science.diffusion import generate
from waypoint.science.streams import torch_stream
from waypoint.store import models
from waypoint.store.arrays import create_store
from waypoint.store.provenance import read_attributes
from waypoint.store.whole import whole_file
from waypoint.workflow.script import run
from waypoint.workflow.specs import require_agreement


def main(job):
    own, rows = job.spec["seed_consistency"], json.loads(job.args.rows)
    rows += [{"id": f"noise-{k}", "seed": f"noise-{k}"} for k in range(own["images"])]
    if not rows:
        raise WaypointError("evaluation.seed_consistency: no target has a seed; set evaluation.seed_consistency.images")
    device, images = job.device(), {"image": [], "independent": []}
    for name, folder in zip(own["models"], job.args.models, strict=True):
        require_agreement(folder, job.spec)
        theta = models.load(folder, device)
        if own["images"] and theta.unet.config.num_class_embeds is not None:
            raise WaypointError(
                f"evaluation.seed_consistency.images: {folder} is class-conditional, and further seeds have no label; "
                "set it to 0 and use more targets"
            )
        for kind, found in made_by(job, theta, name, rows).items():
            images[kind].append(found)
        job.progress(len(images["image"]), len(own["models"]), "models")
    images = {kind: np.array(found) for kind, found in images.items()}
    ids = [row["id"] for row in rows]
    made = {"images": read_attributes(job.args.models[0]).get("images"), "targets": len(ids)}
    with create_store(job.args.out, lambda: job.provenance(**made)) as store:
        store.write("model", ["model"], np.array(own["models"]))
        store.write("target", ["target"], np.array(ids))
        for kind, found in images.items():
            store.write(kind, ["model", "target", "channel", "y", "x"], found, "model", own["models"])
    with whole_file(job.args.table, lambda: job.provenance(**made)) as tmp:
        pd.DataFrame(distances(images, own["models"], ids)).to_csv(tmp, index=False, float_format="%.6g")


def made_by(job, theta, name, rows):
    """One model's images: {image: of each row's x_T and noises, independent: of noise of its own}, (rows, C, H, W).

    A row's images depend on no other row. ``image`` has the noises of the target's trajectory.
    """
    made, seed, steps = {"image": [], "independent": []}, job.spec["seed"], job.spec["sampling"]["steps"]
    for row in rows:
        label = models.target_label(theta, row)
        streams = {"image": ("trajectory", row["seed"]), "independent": ("independent noise", name, row["id"])}
        for kind, key in streams.items():
            made[kind].append(generate(theta, steps, torch_stream(seed, *key), label)[-1].numpy())
    return made


def distances(images, names, ids):
    """Rows of seed_consistency.csv: ℓ2 in pixel space between every two models' images.

    Args:
        images: {image, independent: (models, targets, C, H, W)}; independent noise is model b's.
    """
    for a, b in itertools.combinations(range(len(names)), 2):
        for noise, other in (("same", images["image"]), ("independent", images["independent"])):
            l2 = np.sqrt(((images["image"][a].astype(np.float64) - other[b]) ** 2).sum((1, 2, 3)))
            for target, value in zip(ids, l2):
                yield {"model_a": names[a], "model_b": names[b], "target": target, "noise": noise, "l2": value}


if __name__ == "__main__":
    run(main, "seed_consistency", ["models*", "rows", "out", "table"])
