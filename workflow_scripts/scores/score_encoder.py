"""Baseline: cosine similarity to the final image in an image encoder's space, such as CLIP's (§5.1)."""

import json

import numpy as np
import torch

from waypoint.science.baselines import cosine
from waypoint.store.networks.image_encoder import ImageEncoder
from waypoint.store.zarr.reader import blocks, read
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run


def main(job):
    name, steps = job.args.method, job.settings["target"]["steps"]
    embedding = job.open(job.args.embeddings)["embedding"]
    image = torch.from_numpy(read(job.open(job.args.trajectory)["image"]))
    place = json.loads(job.args.places)[name]
    encoder = ImageEncoder(name, job.settings["image_encoder"], place, job.device())
    final = encoder(image[None]).cpu().numpy()
    row = np.concatenate([cosine(rows, final) for _, rows in blocks(embedding)], axis=1)
    score = np.tile(row.astype(np.float32), (len(steps), 1))  # the final image is the same at every step
    with create_store(job.args.out, lambda: job.provenance(method=name, target=job.args.target)) as store:
        store.label(method=name, target=job.args.target)
        store.write("step", ["step"], np.array(steps))
        store.write("train", ["train"], np.arange(score.shape[1]))
        store.write("score", ["step", "train"], score, "step", steps)


if __name__ == "__main__":
    run(main, ["embeddings", "trajectory", "places", "method", "target", "out"])
