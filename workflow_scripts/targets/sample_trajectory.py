"""One target's sampling trajectory: generated from its seed, or the user's own from a file."""

import numpy as np
import torch

from waypoint.errors import WaypointError
from waypoint.science.algorithm1 import one_step_estimate
from waypoint.science.processes.ddpm import generate
from waypoint.science.processes.guidance import guided
from waypoint.science.random_streams import torch_stream
from waypoint.store.data.trajectories import GivenTrajectory
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.writer import BROWSED_BYTES, create_store
from waypoint.workflow.jobs.decoding import decoder
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.prompts import embedded_prompt


def main(job):
    device = job.device()
    checkpoint, decode = job.checkpoint(job.args.checkpoint), decoder(job, device)
    theta = checkpoint.load(device)
    target, clip = job.settings["target"], job.settings["attribution"]["clip_x0_hat"]
    text = embedded_prompt(job, device)
    condition = checkpoints.target_condition(theta, target, text.get("text_embedding"))
    theta = guided(theta, text.get("null_embedding"), job.settings["sampling"].get("guidance", 1))
    if job.args.trajectory:
        steps, x_t, image = read_trajectory(job.args.trajectory, theta, None if job.args.vae else theta.shape)
        x0_hat = torch.stack(
            [one_step_estimate(theta, x.to(theta.device), int(t), condition, clip).cpu() for t, x in zip(steps, x_t)]
        )
        last = x0_hat[-1]  # replaces the image if the file has none
    else:
        noise, image = torch_stream(job.settings["seed"], "trajectory", target["seed"]), None
        steps, x_t, x0_hat, last = generate(theta, job.settings["sampling"]["steps"], noise, condition, clip)
    image = decode(last[None])[0] if image is None else image
    label = f"checkpoint {job.settings['generator']}, step"
    weights = checkpoint.weights
    with create_store(job.args.out, lambda: job.provenance(weights=weights)) as store:
        store.write("step", ["step"], np.asarray(steps, np.int64))
        for name, values in (("x_t", x_t), ("x0_hat", x0_hat)):
            store.write(name, ["step", "channel", "y", "x"], values.numpy(), label, steps, BROWSED_BYTES)
        dims = [f"image_{dim}" for dim in ("channel", "y", "x")] if job.args.vae else ["channel", "y", "x"]
        store.write("image", dims, image.numpy())
        for name, embedding in text.items():
            store.write(name, ["token", "width"], embedding.numpy())


def read_trajectory(path, theta, image_shape):
    """Read steps (descending), x_t and image (or None) from a user's npz file, checked against the model.

    Raises:
        WaypointError: shapes or steps do not fit the model.
    """
    trajectory = GivenTrajectory(path, "targets")
    steps, x_t = np.array(trajectory.steps, np.int64), trajectory.x_t
    image = None if trajectory.image is None else torch.from_numpy(trajectory.image)
    shape = theta.shape
    if x_t.shape != (len(steps), *shape):
        raise WaypointError(f"{path}: x_t has shape {x_t.shape}; {(len(steps), *shape)} is needed for this model")
    if image is not None and image_shape is not None and tuple(image.shape) != image_shape:
        raise WaypointError(f"{path}: image has shape {tuple(image.shape)}; the model makes {image_shape}")
    if steps.max() >= theta.T:
        raise WaypointError(f"{path}: step must list distinct training-time steps 0..{theta.T - 1}")
    order = np.argsort(-steps)
    return steps[order], torch.from_numpy(x_t[order]), image


if __name__ == "__main__":
    run(main, ["checkpoint", "trajectory?", "vae?", "text?", "out"])
