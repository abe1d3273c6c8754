"""A trajectory for a given picture: noise added to it at every step, or the inverse of DDIM."""

import numpy as np
import torch

from waypoint.science.inversion import noised
from waypoint.science.processes import ddim
from waypoint.science.processes.ddpm import repeated
from waypoint.science.processes.guidance import guided
from waypoint.science.random_streams import torch_stream
from waypoint.store.data.given_image import fitted_picture
from waypoint.store.networks import checkpoints
from waypoint.store.networks.vae import load_vae
from waypoint.store.zarr.writer import BROWSED_BYTES, create_store
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.prompts import embedded_prompt
from waypoint.workflow.plan.specs import settings_of

BATCH = 50  # steps whose x̂0_t are estimated at once


def main(job):
    device, target = job.device(), job.settings["target"]
    checkpoint, sampling = job.checkpoint(job.args.checkpoint), job.settings["sampling"]
    theta, text = checkpoint.load(device), embedded_prompt(job, device)
    condition = checkpoints.target_condition(theta, target, text.get("text_embedding"))
    theta = guided(theta, text.get("null_embedding"), sampling.get("guidance", 1))
    data = job.open(job.args.data)
    fit = settings_of(data.attrs["spec"]).get("data", {}).get("fit") or "crop"
    image = fitted_picture(job.args.image, data["image"].shape[1:], fit)
    vae = load_vae(job.folder(job.args.vae), device) if job.args.vae else None
    x0, attributes, reconstruction = encode(job, vae, image), {"weights": checkpoint.weights}, None
    if target["inversion"] == "ddim":
        steps, x_t = ddim.invert(theta, sampling["steps"], x0, condition)
        paths, reconstruction = [x_t], ddim.generate(theta, sampling["steps"], x_t[0], condition)
        # the inversion's error on the scale of pixels from 0 to 1; for latents, half of their own scale
        attributes["round_trip_rmse"] = (reconstruction - x0).pow(2).mean().sqrt().item() / 2
        job.say(f"the model makes the image again with an error (RMSE) of {attributes['round_trip_rmse']:.2g}")
    else:
        steps = ddim.grid_of(theta, sampling["steps"])
        key = (job.settings["seed"], target["image"])
        paths = [noised(theta, x0, steps, *key, noise) for noise in range(target["noises"])]
    with create_store(job.args.out, lambda: job.provenance(**attributes)) as store:
        write_trajectories(job, store, theta, steps, paths, condition)
        dims = [f"image_{dim}" for dim in ("channel", "y", "x")] if vae else ["channel", "y", "x"]
        store.write("image", dims, image)
        if vae:
            store.write("latent", ["channel", "y", "x"], x0.numpy())
        if reconstruction is not None:
            reconstruction = reconstruction if vae is None else vae.decode(reconstruction[None].to(device))[0].cpu()
            store.write("again", dims, reconstruction.numpy())
        for name, embedding in text.items():
            store.write(name, ["token", "width"], embedding.numpy())


def encode(job, vae, image):
    """Return an image as the model sees it: itself, or its latent, encoded as those of the training images."""
    x0 = torch.from_numpy(image)
    if vae is None:
        return x0
    noise = None
    if job.settings["vae"]["latent"] == "sample":
        stream = torch_stream(job.settings["seed"], "given latent", job.settings["target"]["image"])
        noise = torch.randn(1, *vae.latent_shape(x0.shape), generator=stream)
    return vae.encode(x0[None], noise)[0].cpu()


def write_trajectories(job, store, theta, steps, paths, condition):
    """Write x_t and x̂0_t of the first noise trajectory, and of further ones."""
    label, clip = f"checkpoint {job.settings['generator']}, step", job.settings["attribution"]["clip_x0_hat"]
    estimates = []
    for x_t in paths:
        estimates.append(estimate_x0(theta, steps, x_t, condition, clip))
        job.progress(len(estimates), len(paths), "trajectories")
    dims = ["step", "channel", "y", "x"]
    store.write("step", ["step"], np.asarray(steps, np.int64))
    for name, arrays in (("x_t", paths), ("x0_hat", estimates)):
        store.write(name, dims, arrays[0].numpy(), label, steps, BROWSED_BYTES)
        if len(arrays) > 1:
            store.write(
                f"further_{name}", ["further", *dims], torch.stack(arrays[1:]).numpy(), "noise", range(1, len(arrays))
            )


@torch.no_grad()
def estimate_x0(theta, steps, x_t, condition, clip):
    """Return x̂0_t of every step, (S, C, H, W) on the CPU."""
    estimates, t = [], torch.tensor(steps, device=theta.device)
    for x, t_batch in zip(x_t.to(theta.device).split(BATCH), t.split(BATCH)):
        out = theta.prediction(x, t_batch, repeated(condition, len(x)))
        estimates.append(theta.x0_hat(x, t_batch, out, clip).cpu())
    return torch.cat(estimates)


if __name__ == "__main__":
    run(main, ["checkpoint", "image", "data", "vae?", "text?", "out"])
