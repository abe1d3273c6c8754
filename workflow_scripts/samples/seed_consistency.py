"""evaluation/seed_consistency.zarr and its table: two models' images from the same and from independent noise (B.1)."""

import numpy as np
import pandas as pd
import torch

from waypoint.errors import WaypointError
from waypoint.science.evaluation.seed_consistency import distances
from waypoint.science.processes.ddpm import generate
from waypoint.science.processes.guidance import guided
from waypoint.science.random_streams import torch_stream
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.networks import checkpoints
from waypoint.store.networks.text_encoder import load_text_encoder
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.decoding import decoder
from waypoint.workflow.jobs.job import run


def main(job):
    settings, rows = job.settings["seed_consistency"], list(job.settings["seeded"])
    rows += [{"id": f"noise-{k}", "seed": f"noise-{k}"} for k in range(settings["images"])]
    device, images, shapes = job.device(), {"image": [], "independent": []}, {}
    decode, texts = decoder(job, device), embedded_prompts(job, rows, device)
    for name, folder in zip(settings["models"], job.args.models, strict=True):
        theta = job.checkpoint(folder).load(device)
        shapes[name] = theta.shape
        if theta.shape != shapes[settings["models"][0]]:
            raise WaypointError(
                f"evaluation.seed_consistency.models: {name} makes {theta.shape}, {settings['models'][0]} makes "
                f"{shapes[settings['models'][0]]} (channels, height, width): they cannot share a noise"
            )
        if settings["images"] and theta.conditioned_by is not None:
            raise WaypointError(
                f"evaluation.seed_consistency.images: {folder} is conditional, and further seeds have no condition; "
                "set it to 0 and use more targets"
            )
        for kind, of_kind in make_images(job, theta, name, rows, texts).items():
            images[kind].append(decode(of_kind).numpy())
        job.progress(len(images["image"]), len(settings["models"]), "models")
    images = {kind: np.array(of_kind) for kind, of_kind in images.items()}
    ids = [row["id"] for row in rows]
    attributes = {"images": job.checkpoint(job.args.models[0]).attributes.get("images"), "targets": len(ids)}
    with create_store(job.args.out, lambda: job.provenance(**attributes)) as store:
        store.write("model", ["model"], np.array(settings["models"]))
        store.write("target", ["target"], np.array(ids))
        for kind, of_kind in images.items():
            store.write(kind, ["model", "target", "channel", "y", "x"], of_kind, "model", settings["models"])
    with atomic_file(job.args.table, lambda: job.provenance(**attributes)) as tmp:
        pd.DataFrame(rows_of(images, settings["models"], ids)).to_csv(tmp, index=False, float_format="%.6g")


def embedded_prompts(job, rows, device):
    """Return {prompt: its embedding (token, width)} of all rows and the empty prompt, or {} without a text encoder."""
    if not job.args.text:
        return {}
    encoder = load_text_encoder(job.folder(job.args.text), job.settings["text_encoder"]["max_length"], device)
    return {prompt: encoder([prompt])[0] for prompt in {"", *(row["prompt"] for row in rows if "prompt" in row)}}


def make_images(job, theta, name, rows, texts):
    """Make one model's images, {kind: (rows, C, H, W)}: "image" from a row's x_T and noises, "independent" from others.

    A row's images depend on no other row. ``image`` has the noises of the target's trajectory.
    """
    images, seed, sampling = {"image": [], "independent": []}, job.settings["seed"], job.settings["sampling"]
    sampler = guided(theta, texts.get(""), sampling.get("guidance", 1))
    for row in rows:
        condition = checkpoints.target_condition(theta, row, texts.get(row.get("prompt")))
        streams = {"image": ("trajectory", row["seed"]), "independent": ("independent noise", name, row["id"])}
        for kind, key in streams.items():
            images[kind].append(generate(sampler, sampling["steps"], torch_stream(seed, *key), condition)[-1])
    return {kind: torch.stack(of_kind) for kind, of_kind in images.items()}


def rows_of(images, names, ids):
    """Yield the rows of seed_consistency.csv.

    Args:
        images: {image, independent: (models, targets, C, H, W)}.
    """
    for a, b, noise, l2 in distances(images["image"], images["independent"]):
        for target, value in zip(ids, l2):
            yield {"model_a": names[a], "model_b": names[b], "target": target, "noise": noise, "l2": value}


if __name__ == "__main__":
    run(main, ["models*", "vae?", "text?", "out", "table"])
