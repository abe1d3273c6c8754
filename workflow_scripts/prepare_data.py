"""Read the training images from their source into data/train.zarr."""

import hashlib

import numpy as np

from waypoint.store.arrays import create_store
from waypoint.store.datasets import SOURCES, chosen, resized
from waypoint.store.raw import source_record
from waypoint.workflow.script import run


def main(job):
    section = job.spec["data"]
    source = SOURCES[section["source"]](section)
    rows = chosen(section, source.n, job.spec["seed"])
    shape = resized(source.read(int(rows[0])), section["size"]).shape
    digest = hashlib.sha256()

    def attributes():
        source = source_record([section["path"], section["captions"]])
        return job.provenance(sha256=digest.hexdigest(), source=source)

    with create_store(job.args.out, attributes) as store:
        store.write("train", ["train"], np.arange(len(rows)))
        store.write("source_index", ["train"], rows)
        if source.labels is not None:
            store.write("label", ["train"], source.labels[rows])
            digest.update(source.labels[rows].tobytes())
        if source.captions is not None:
            captions = [source.captions[i] for i in rows]
            store.write("caption", ["train"], np.array(captions))
            digest.update("\0".join(captions).encode())
        images = store.create("image", ["train", "channel", "y", "x"], (len(rows), *shape))
        step = images.chunks[0]
        for start in range(0, len(rows), step):
            taken = rows[start : start + step]
            block = np.stack([resized(source.read(int(i)), section["size"]) for i in taken])
            store.put("image", slice(start, start + len(taken)), block, "image of the source", taken)
            digest.update(block.tobytes())
            job.progress(start + len(taken), len(rows), "images")
    job.say(f"{len(rows)} images of shape {shape} from {section['source']}")


if __name__ == "__main__":
    run(main, "data", ["out"])
