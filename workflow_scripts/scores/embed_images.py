"""Embeddings of all training images by an image encoder, computed once (§5.1)."""

import json

import numpy as np
import torch

from waypoint.store.artifacts.fingerprint import array_hash
from waypoint.store.networks.image_encoder import ImageEncoder
from waypoint.store.zarr.reader import blocks
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run

BATCH = 64  # images per call, at the encoder's own size


def main(job):
    images, name = job.open(job.args.data)["image"], job.args.encoder
    place = json.loads(job.args.places)[name]
    encoder = ImageEncoder(name, job.settings["image_encoder"], place, job.device())
    embedded = []
    for start, rows in blocks(images):
        for first in range(0, len(rows), BATCH):
            embedded.append(encoder(torch.from_numpy(rows[first : first + BATCH].copy())).cpu().numpy())
            job.progress(start + min(first + BATCH, len(rows)), images.shape[0], "images")
    embedded = np.concatenate(embedded)
    attributes = {"encoder": name, "sha256": array_hash(embedded)}
    with create_store(job.args.out, lambda: job.provenance(**attributes)) as store:
        store.write("train", ["train"], np.arange(len(embedded)))
        store.write("embedding", ["train", "feature"], embedded, "training image", range(len(embedded)))


if __name__ == "__main__":
    run(main, ["data", "encoder", "places", "out"])
