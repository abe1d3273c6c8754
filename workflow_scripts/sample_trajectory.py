"""One target's sampling trajectory: generated from its seed, or the user's own from a file."""

import numpy as np
import torch

from waypoint.errors import WaypointError
from waypoint.science.algorithm1 import one_step_estimate
from waypoint.science.diffusion import generate
from waypoint.science.streams import torch_stream
from waypoint.store import models
from waypoint.store.arrays import create_store
from waypoint.store.provenance import read_attributes
from waypoint.workflow.script import run
from waypoint.workflow.specs import require_agreement


def main(job):
    require_agreement(job.args.checkpoint, job.spec)
    theta = models.load(job.args.checkpoint, job.device())
    target, clip = job.spec["target"], job.spec["attribution"]["clip_x0_hat"]
    label = models.target_label(theta, target)
    if job.args.trajectory:
        steps, x_t, image = own_trajectory(job.args.trajectory, theta)
        x0_hat = torch.stack(
            [one_step_estimate(theta, x.to(theta.device), int(t), label, clip).cpu() for t, x in zip(steps, x_t)]
        )
        image = x0_hat[-1] if image is None else image
    else:
        noise = torch_stream(job.spec["seed"], "trajectory", target["seed"])
        steps, x_t, x0_hat, image = generate(theta, job.spec["sampling"]["steps"], noise, label, clip)
    what = f"checkpoint {job.spec['generator']}, step"
    weights = read_attributes(job.args.checkpoint)["weights"]
    with create_store(job.args.out, lambda: job.provenance(weights=weights)) as store:
        store.write("step", ["step"], np.asarray(steps, np.int64))
        store.write("x_t", ["step", "channel", "y", "x"], x_t.numpy(), what, steps)
        store.write("x0_hat", ["step", "channel", "y", "x"], x0_hat.numpy(), what, steps)
        store.write("image", ["channel", "y", "x"], image.numpy())


def own_trajectory(path, theta):
    """Steps (descending), x_t and image of a user's npz file, checked against the model.

    Raises:
        WaypointError: shapes or steps that do not fit the model.
    """
    with np.load(path, allow_pickle=False) as found:
        steps, x_t = found["step"].astype(np.int64), found["x_t"].astype(np.float32)
        image = torch.from_numpy(found["image"].astype(np.float32)) if "image" in found.files else None
    shape = theta.shape
    if x_t.shape != (len(steps), *shape):
        raise WaypointError(f"{path}: x_t has shape {x_t.shape}; {(len(steps), *shape)} is needed for this model")
    if image is not None and tuple(image.shape) != shape:
        raise WaypointError(f"{path}: image has shape {tuple(image.shape)}; the model makes {shape}")
    if len(set(steps.tolist())) != len(steps) or steps.min() < 0 or steps.max() >= theta.T:
        raise WaypointError(f"{path}: step must list distinct training-time steps 0..{theta.T - 1}")
    order = np.argsort(-steps)  # without an image of its own, x̂0 at the lowest step stands in for it
    return steps[order], torch.from_numpy(x_t[order]), image


if __name__ == "__main__":
    run(main, "trajectory", ["checkpoint", "trajectory?", "out"])
