"""Read the training images from their source into data/train.zarr."""

import json
import warnings

import numpy as np

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.artifacts.fingerprint import Digest
from waypoint.store.data.faults import some
from waypoint.store.data.near_duplicates import distinct
from waypoint.store.data.sources import SOURCES, chosen, drawn_caption
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run

RANGE, SMALL = 2, 1 / 8  # of values in [-1, 1]; the share of it below which a data set is suspicious


def main(job):
    # the data's location is no setting
    section, seed = job.settings["data"] | json.loads(job.args.places), job.settings["seed"]
    kind = SOURCES[section["source"]]
    source = kind(section)
    try:
        prepare(job, section, seed, kind, source)
    except WaypointError as error:
        if len(faults := faults_of(source)) > 1:
            raise WaypointError(f"{len(faults):,} images cannot be used: {some(faults, '; ')}") from error
        raise


def faults_of(source):
    """Return the faults of all images of a source that cannot be read; each file is opened once."""
    source.channels = source.channels or 3  # else each image would be opened to learn it, for every image
    faults = {}
    for i in range(source.n):
        try:
            source.read(i)
        except WaypointError as error:
            faults[str(error)] = None
    return list(faults)


def prepare(job, section, seed, kind, source):
    """Write the chosen images with their names, labels, groups and captions."""
    candidates = np.arange(source.n)
    if section.get("near_duplicates") is not None:
        candidates = distinct(
            lambda rows: np.stack([source.read(i) for i in rows]),
            source.n,
            section["near_duplicates"],
            lambda done: job.progress(done, source.n, "images compared"),
        )
        job.say(f"{source.n - len(candidates)} near-duplicates left out, {len(candidates)} images stay")
    rows = candidates[chosen(section, len(candidates), seed)]
    shape = source.read(int(rows[0])).shape
    digest, low, high = Digest(), np.inf, -np.inf

    def attributes():
        read = rows.tolist() if section.get("near_duplicates") is None else range(source.n)
        return job.provenance(sha256=digest.hex(), source=kind.recorded(section, source, read))

    with create_store(job.args.out, attributes) as store:
        store.write("train", ["train"], np.arange(len(rows)))
        store.write("source_index", ["train"], rows)
        store.write("file", ["train"], np.array([source.files[i] for i in rows], object))
        if source.labels is not None:
            store.write("label", ["train"], source.labels[rows])
            if source.class_names is not None:
                store.arrays["label"].attrs["class_names"] = list(source.class_names)
            digest.add(source.labels[rows].tobytes())
        if source.groups is not None:
            store.write("group", ["train"], np.array([source.groups[i] for i in rows], object))
        if source.captions is not None:
            captions = [drawn_caption(source.captions[i], seed, i) for i in rows]
            store.write("caption", ["train"], np.array(captions, object))
            digest.add("\0".join(captions).encode())
        images = store.create("image", ["train", "channel", "y", "x"], (len(rows), *shape))
        step = images.chunks[0]
        for start in range(0, len(rows), step):
            batch = rows[start : start + step]
            block = np.stack([source.read(int(i)) for i in batch])
            low, high = min(low, block.min()), max(high, block.max())
            store.put("image", slice(start, start + len(batch)), block, "image of the source", batch)
            digest.add(block.tobytes())
            job.progress(start + len(batch), len(rows), "images")
    if high - low < SMALL * RANGE:
        warnings.warn(
            f"data.path: all {len(rows):,} images lie between {(low + 1) / 2:.1%} and {(high + 1) / 2:.1%} of the way "
            "from black to white, less than an eighth of the range: 12-bit values in files of 16 bits, say, or levels "
            "0 to 16 in uint8. Scale them, unless this is meant",
            WaypointWarning,
            stacklevel=2,
        )
    if of_several := sorted(source.of_several & set(rows.tolist())):
        names = [source.files[i] for i in of_several]
        warnings.warn(
            f"data.path: {len(names):,} files hold several pictures (pages, or frames of an animation), of which only "
            f"the first is read: {some(names)}",
            WaypointWarning,
            stacklevel=2,
        )
    job.say(f"{len(rows)} images of shape {shape} from {section['source']}")


if __name__ == "__main__":
    run(main, ["places", "out"])
