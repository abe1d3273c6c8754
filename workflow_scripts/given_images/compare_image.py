"""A given image compared with the training images: the nearest ones, and the generating model's loss on each."""

import json

import numpy as np
import torch

from waypoint.science.evaluation.given_image import SAME, copy_limit
from waypoint.science.random_streams import numpy_stream, torch_stream
from waypoint.store.data.near_duplicates import distances, nearest_other
from waypoint.store.data.sources import SOURCES, drawn_caption
from waypoint.store.data.training_set import conditions_of, inputs_of
from waypoint.store.networks.text_encoder import load_text_encoder
from waypoint.store.networks.vae import load_vae
from waypoint.store.zarr.reader import Rows, blocks, read
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.compared_image import EVENED, PIXELS
from waypoint.workflow.jobs.duplicate_limit import SAMPLE, flat, limit_and_usual, sample_of
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.target import conditions

DRAWS = 8  # of ε at every step, the same for all images
BATCH = 256  # rows per call of the model


def main(job):
    data, trajectory = job.open(job.args.data), job.open(job.args.trajectory, generator=job.args.generator)
    theta = job.checkpoint(job.args.generator).load(job.device())
    n = data["image"].shape[0]
    sample = sample_of(job, n)
    nearest_rows = nearest(job, data, trajectory, sample)
    steps = job.settings["target"]["steps"]
    losses = {"train_loss": of_training_images(job, theta, data, sample)}
    held_out = of_held_out_images(job, theta, data)
    if held_out is not None:
        losses["held_out_loss"] = held_out
    x0 = read(trajectory["latent" if "latent" in trajectory else "image"])
    condition, _ = conditions(trajectory, theta, job.settings["target"])
    own_losses = step_losses(job, theta, x0[None], condition)[0]
    attributes = {"target": job.args.target, "inversion": job.settings["target"]["inversion"]}
    with create_store(job.args.out, lambda: job.provenance(**attributes)) as store:
        store.write("by", ["by"], np.array([row.pop("by") for row in nearest_rows]))
        for key in nearest_rows[0]:
            store.write(key, ["by"], np.array([row[key] for row in nearest_rows]))
        store.write("step", ["step"], np.array(steps))
        store.write("train", ["train"], sample)
        store.write("loss", ["step"], own_losses, "step", steps)
        for name, values in losses.items():
            dims = ["train" if name == "train_loss" else "held_out", "step"]
            store.write(name, dims, values, "image")


def nearest(job, data, trajectory, sample):
    """Return the nearest training image by pixels and by every encoder, its distance, and the usual distance."""
    images, image = data["image"], read(trajectory["image"])

    def usual(vectors, array):
        rows = ((start, vectors(rows)) for start, rows in blocks(array))
        return nearest_other(vectors(Rows(array)[sample]), sample, rows)

    limit, typical = limit_and_usual(job, images)
    table = [nearest_row(PIXELS, distances(image, blocks(images)), typical, limit)]
    cosines = np.concatenate([unit(centred(rows)) @ unit(centred(image[None]))[0] for _, rows in blocks(images)])
    typical = usual(lambda rows: unit(centred(rows)), images)
    table.append(nearest_row(EVENED, distances_from_cosines(cosines), typical, copy_limit(typical, 0.0)))
    names = job.settings["compared"]["encoders"]
    for name, embedded, scores in zip(names, job.args.embeddings, job.args.scores, strict=True):
        typical = usual(unit, job.open(embedded)["embedding"])
        from_image = distances_from_cosines(read(job.open(scores)["score"], 0))
        table.append(nearest_row(name, from_image, typical, copy_limit(typical, 0.0)))
    for row in table:
        from_nearest = distances(Rows(images)[[row["nearest"]]][0], blocks(images))
        row["alike"] = int((from_nearest <= limit).sum())
    return table


def nearest_row(by, distances, typical, limit):
    """Return a row: the nearest training image, the usual distance, and the largest distance of near-duplicates."""
    i = int(distances.argmin())
    return {"by": by, "nearest": i, "distance": distances[i], "typical": np.median(typical), "limit": float(limit)}


def distances_from_cosines(cosines):
    """Return the distances of vectors of length 1 from their cosines."""
    return np.sqrt(np.maximum(2 - 2 * cosines.astype(np.float64), 0))


def centred(rows):
    """Return images as vectors (n, p), without their mean brightness."""
    vectors = flat(rows).astype(np.float64)
    return vectors - vectors.mean(1, keepdims=True)


def unit(vectors):
    """Scale vectors (n, p) to length 1; a zero vector stays zero."""
    vectors = vectors.astype(np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def step_losses(job, theta, x0, condition):
    """Return the model's loss on images at the target's steps, with noises that all images share: float32 (n, S).

    Args:
        x0: (n, C, H, W) as the model sees them. condition: a row for each, or None.
    """
    steps, shape = job.settings["target"]["steps"], x0.shape[1:]
    keys = [(t, k) for t in steps for k in range(DRAWS)]
    streams = [torch_stream(job.settings["seed"], "compared losses", t, k) for t, k in keys]
    epsilon = torch.stack([torch.randn(shape, generator=stream) for stream in streams]).to(theta.device)
    t = torch.tensor([t for t, _ in keys], device=theta.device)
    losses = np.empty((len(x0), len(steps)), np.float32)
    for i in range(len(x0)):
        image = torch.from_numpy(np.ascontiguousarray(x0[i])).to(theta.device)
        own_condition = None if condition is None else condition[i : i + 1].to(theta.device)
        parts = []
        for rows in torch.arange(len(keys)).split(BATCH):
            batch = image.expand(len(rows), *shape)
            conditions = None if own_condition is None else own_condition.expand(len(rows), *own_condition.shape[1:])
            with torch.inference_mode():
                parts.append(theta.train_loss(batch, t[rows], epsilon[rows], conditions).cpu())
        losses[i] = torch.cat(parts).reshape(len(steps), DRAWS).mean(1).numpy()
        job.progress(i + 1, len(x0), "images")
    return losses


def of_training_images(job, theta, data, sample):
    """Return the losses on training images."""
    condition = conditions_of(data, theta, sample)
    condition = None if condition is None else condition[torch.arange(len(sample))]
    return step_losses(job, theta, Rows(inputs_of(data))[sample], condition)


def of_held_out_images(job, theta, data):
    """Return the losses on images of the same source that no model was trained on; None if there are none."""
    section, seed = job.settings["data"] | json.loads(job.args.places), job.settings["seed"]
    if section["subset"] is None:  # every image is a training image
        return None
    kind = SOURCES[section["source"]]
    if kind.paths(section) and not kind.there(section):
        job.say("the raw data are not at hand: no held-out images")
        return None
    source = kind(section)
    candidates = np.setdiff1d(np.arange(source.n), read(data["source_index"]))
    chosen = numpy_stream(seed, "held-out images").permutation(candidates)[:SAMPLE]
    if not len(chosen):
        return None
    images = np.stack([source.read(int(i)) for i in chosen])
    # a near-duplicate of a training image is not held out
    root = 2 * np.prod(images.shape[1:]) ** 0.5
    training = blocks(data["image"])
    distance = nearest_other(flat(images), np.full(len(images), -1), ((s, flat(rows)) for s, rows in training)) / root
    is_new = distance > (section.get("near_duplicates") or SAME)
    images, chosen = images[is_new], chosen[is_new]
    if not len(chosen):
        return None
    return step_losses(job, theta, as_model_input(job, images, chosen), condition_of(job, theta, source, chosen))


def as_model_input(job, images, chosen):
    """Return held-out images as the model sees them."""
    if not job.args.vae:
        return images
    vae, noise = load_vae(job.folder(job.args.vae), job.device()), None
    if job.settings["vae"]["latent"] == "sample":
        shape = vae.latent_shape(images.shape[1:])
        streams = [torch_stream(job.settings["seed"], "held-out latent", int(i)) for i in chosen]
        noise = torch.stack([torch.randn(shape, generator=stream) for stream in streams])
    return vae.encode(torch.from_numpy(images), noise).numpy()


def condition_of(job, theta, source, chosen):
    """Return classes or embedded captions of held-out images, or None."""
    if theta.conditioned_by == "class_labels":
        return torch.from_numpy(source.labels[chosen])
    if theta.conditioned_by is None:
        return None
    encoder = load_text_encoder(job.folder(job.args.text), job.settings["text_encoder"]["max_length"], job.device())
    return encoder([drawn_caption(source.captions[i], job.settings["seed"], i) for i in chosen])


if __name__ == "__main__":
    arguments = ["data", "trajectory", "generator", "embeddings*", "scores*", "vae?", "text?", "places"]
    run(main, [*arguments, "target", "out"])
