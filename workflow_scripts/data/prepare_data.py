"""Read the training images from their source into data/train.zarr."""

import hashlib
import json

import numpy as np

from waypoint.store.artifacts.fingerprint import source_record
from waypoint.store.data.image_files import resized
from waypoint.store.data.near_duplicates import distinct
from waypoint.store.data.paths import raw_paths
from waypoint.store.data.sources import SOURCES, chosen, drawn_caption
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run


def main(job):
    # where the data lies is no setting
    section, seed = job.settings["data"] | json.loads(job.args.places), job.settings["seed"]
    source = SOURCES[section["source"]](section)

    def read(i):
        return resized(source.read(int(i)), section["size"])

    left = np.arange(source.n)
    if section.get("near_duplicates") is not None:
        left = distinct(
            read, source.n, section["near_duplicates"], lambda done: job.progress(done, source.n, "images compared")
        )
        job.say(f"{source.n - len(left)} near-duplicates left out, {len(left)} images stay")
    rows = left[chosen(section, len(left), seed)]
    shape = read(rows[0]).shape
    digest = hashlib.sha256()

    def attributes():
        return job.provenance(sha256=digest.hexdigest(), source=source_record(raw_paths(section)))

    with create_store(job.args.out, attributes) as store:
        store.write("train", ["train"], np.arange(len(rows)))
        store.write("source_index", ["train"], rows)
        store.write("file", ["train"], np.array([source.names[i] for i in rows]))
        if source.labels is not None:
            store.write("label", ["train"], source.labels[rows])
            if source.class_names is not None:
                store.arrays["label"].attrs["class_names"] = list(source.class_names)
            digest.update(source.labels[rows].tobytes())
        groups = getattr(source, "groups", None)  # tables of images alone have them
        if groups is not None:
            store.write("group", ["train"], np.array([groups[i] for i in rows]))
        if source.captions is not None:
            captions = [drawn_caption(source.captions[i], seed, i) for i in rows]
            store.write("caption", ["train"], np.array(captions))
            digest.update("\0".join(captions).encode())
        images = store.create("image", ["train", "channel", "y", "x"], (len(rows), *shape))
        step = images.chunks[0]
        for start in range(0, len(rows), step):
            taken = rows[start : start + step]
            block = np.stack([read(i) for i in taken])
            store.put("image", slice(start, start + len(taken)), block, "image of the source", taken)
            digest.update(block.tobytes())
            job.progress(start + len(taken), len(rows), "images")
    job.say(f"{len(rows)} images of shape {shape} from {section['source']}")


if __name__ == "__main__":
    run(main, ["places", "out"])
