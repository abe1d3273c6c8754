"""data/train.zarr of a latent or text-conditional model: the images, and their latents or captions, encoded once."""

import warnings

import torch

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.science.random_streams import torch_stream
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.data.faults import some
from waypoint.store.networks.text_encoder import load_text_encoder, text_encoder_identity
from waypoint.store.networks.vae import load_vae, vae_identity
from waypoint.store.types import array_of
from waypoint.store.zarr.reader import blocks, open_store, read, verify
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.resuming import identity_of
from waypoint.workflow.plan.specs import as_read

ENCODED = ("latent", "text_embedding", "null_embedding")
BATCH = 64  # images or captions encoded at once


def main(job):
    device, source = job.device(), job.open(job.args.images)
    # models see the images only through the encoders, so other weights make other data
    parts = [source.attrs["sha256"]]
    parts += [vae_identity(job.args.vae)] if job.args.vae else []
    parts += [text_encoder_identity(job.args.text)] if job.args.text else []
    attributes = {"sha256": identity_of(*parts), "source": source.attrs["source"]}
    with create_store(job.args.out, lambda: job.provenance(**attributes)) as store:
        for name in source.array_keys():
            store.adopt(source[name])
        if adopt_encoded(job, store, attributes["sha256"]):
            return
        if job.args.vae:
            write_latents(job, store, source, load_vae(job.folder(job.args.vae), device))
        if job.args.text:
            encoder = load_text_encoder(job.folder(job.args.text), job.settings["text_encoder"]["max_length"], device)
            write_captions(job, store, source, encoder)


def adopt_encoded(job, store, sha256):
    """Reuse the arrays that an earlier version of this stage encoded from the same images by the same encoders, if any.

    Models were trained on exactly these numbers, and another device may give slightly different ones.
    """
    try:
        attributes = read_attributes(job.args.out)
        if not attributes or attributes.get("sha256") != sha256 or as_read(attributes["spec"]) != as_read(job.spec):
            return False
        earlier = open_store(job.args.out)
        arrays = [array_of(earlier, name) for name in ENCODED if name in earlier]
        for array in arrays:
            verify(array)
    except WaypointError as error:  # damaged: encoded again
        job.say(f"{error}")
        return False
    for array in arrays:
        store.adopt(array)
    return True


def write_latents(job, store, source, vae):
    """Write every image's latent: the posterior's mean, or a sample from the image's own random stream."""
    done, n, train = 0, source["image"].shape[0], read(source["train"])
    for start, rows in blocks(source["image"]):
        for first in range(0, len(rows), BATCH):
            images = torch.from_numpy(rows[first : first + BATCH].copy())
            items, noise = train[start + first : start + first + len(images)], None
            if job.settings["vae"]["latent"] == "sample":
                shape = vae.latent_shape(images.shape[1:])
                streams = [torch_stream(job.settings["seed"], "latent", int(i)) for i in items]
                noise = torch.stack([torch.randn(shape, generator=stream) for stream in streams])
            latents = vae.encode(images, noise).cpu().numpy()
            if not done:
                store.create("latent", ["train", "latent_channel", "latent_y", "latent_x"], (n, *latents.shape[1:]))
            store.put("latent", slice(done, done + len(latents)), latents, "image", items)
            done += len(latents)
            job.progress(done, n, "images")


def write_captions(job, store, source, encoder):
    """Write every image's embedded caption, and the empty caption's."""
    captions, train, too_long = read(source["caption"]), read(source["train"]), []
    names = read(source["file"]) if "file" in source else train
    dims, shape = ["train", "token", "width"], (len(captions), encoder.length, encoder.width)
    store.create("text_embedding", dims, shape)
    for start in range(0, len(captions), BATCH):
        window = slice(start, min(start + BATCH, len(captions)))
        store.put("text_embedding", window, encoder(captions[window]).numpy(), "caption of image", train[window])
        too_long += [start + i for i in encoder.too_long(captions[window])]
        job.progress(window.stop, len(captions), "captions")
    if too_long:
        warnings.warn(
            f"text_encoder.max_length: {len(too_long):,} of {len(captions):,} captions are longer than the "
            f"{encoder.length} tokens that the text encoder takes, and are cut: those of "
            f"{some(names[i] for i in too_long)}",
            WaypointWarning,
            stacklevel=2,
        )
    store.write("null_embedding", ["token", "width"], encoder([""])[0].numpy())


if __name__ == "__main__":
    run(main, ["images", "vae?", "text?", "out"])
