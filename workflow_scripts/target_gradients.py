"""One target's projected gradients g_t for every checkpoint, and samples of p(·|x_t) at the same steps."""

import json

import numpy as np
import torch
from PIL import Image

from waypoint.errors import WaypointError
from waypoint.science.algorithm1 import one_step_estimate, target_gradients
from waypoint.science.diffusion import continuations
from waypoint.science.draws import target_noise
from waypoint.science.gradients import Example, per_example_gradients, rows_in_memory, trainable
from waypoint.science.masks import box_mask, cell_shares
from waypoint.science.projection import PROJECTIONS
from waypoint.science.streams import torch_stream
from waypoint.store import models
from waypoint.store.arrays import create_store, read
from waypoint.store.provenance import read_attributes
from waypoint.workflow.plan import require_agreement
from waypoint.workflow.script import run

SAMPLES = 4  # of p(·|x_t) per step, for the panel


class Target:
    """The trajectory at the attributed steps, with what f_t is taken around."""

    def __init__(self, job, device):
        found = job.open(job.args.trajectory)
        self.steps = job.spec["target"]["steps"]
        grid = read(found["step"]).tolist()
        at = [grid.index(t) for t in self.steps]
        self.x_t = torch.from_numpy(read(found["x_t"])[at]).to(device)
        self.x0_hat = torch.from_numpy(read(found["x0_hat"])[at]).to(device)
        origin = {key: job.spec["target"][key] for key in ("seed", "label", "trajectory") if key in job.spec["target"]}
        # the noises of f_t belong to the trajectory: equal for all models, targets and masks that share it
        self.key = json.dumps([origin, job.spec["generator"], job.spec["sampling"]], sort_keys=True)
        self.label = torch.tensor([origin["label"]], device=device) if "label" in origin else None
        self.weight = self._weight(job, self.x_t.shape[-2:]).to(device) if job.spec["target"]["mask"] else None

    @staticmethod
    def _weight(job, shape):
        mask = job.spec["target"]["mask"]
        if isinstance(mask, list):
            pixels = box_mask(mask, *shape)
        else:
            with Image.open(job.args.mask) as image:
                pixels = (np.asarray(image.convert("L")) > 127).astype(np.float32)
        return torch.from_numpy(cell_shares(pixels, *shape))


def main(job):
    device = job.device()
    target, names = Target(job, device), job.spec["checkpoints"]
    settings, projection = job.spec["attribution"], job.spec["projection"]
    epsilon = {
        t: torch.stack(
            [
                target_noise(job.spec["seed"], target.key, t, k, target.x_t.shape[1:])
                for k in range(settings["target_draws"])
            ]
        ).to(device)
        for t in target.steps
    }

    def example(theta, s):
        t, noise = target.steps[s], epsilon[target.steps[s]]
        x0_hat = target.x0_hat[s]
        if settings["x0_hat"] == "per_checkpoint":
            x0_hat = one_step_estimate(theta, target.x_t[s], t, target.label, settings["clip_x0_hat"])
        label = None if target.label is None else target.label.expand(len(noise))
        return Example(
            x0_hat.expand(noise.shape), torch.full((len(noise),), t, device=device), noise, label, target.weight
        )

    weights = []
    with create_store(job.args.out, lambda: job.provenance(weights=weights)) as store:
        store.write("checkpoint", ["checkpoint"], np.array(names))
        store.write("step", ["step"], np.array(target.steps))
        shape = (len(names), len(target.steps), projection["dim"])
        store.create("g", ["checkpoint", "step", "feature"], shape, rows=1)
        for m, (name, folder) in enumerate(zip(names, job.args.checkpoints)):
            require_agreement(folder, job.spec)
            weights.append(read_attributes(folder)["weights"])
            theta = models.load(folder, device)
            if theta.unet.config.num_class_embeds is not None and target.label is None:
                raise WaypointError("target: label is missing; the model is class-conditional")
            p = sum(q.numel() for q in trainable(theta.unet))
            P = PROJECTIONS[projection["kind"]](job.spec["seed"], name, p, projection["dim"])
            step = rows_in_memory(p, device)
            for start in range(0, len(target.steps), step):
                batch = [example(theta, s) for s in range(start, min(start + step, len(target.steps)))]
                g = target_gradients(theta, P, batch, per_example_gradients).cpu().numpy()
                where = slice(start, start + len(batch))
                store.put("g", (m, where), g, f"checkpoint {name}, step", target.steps[where])
            job.progress(m + 1, len(names), "checkpoints")

    theta = models.load(job.args.generator, device)
    with create_store(job.args.continuations, job.provenance) as store:
        store.write("step", ["step"], np.array(target.steps))
        images = np.stack([samples(job, theta, target, s) for s in range(len(target.steps))])
        store.write("sample", ["step", "number", "channel", "y", "x"], images, "step", target.steps)


def samples(job, theta, target, s):
    """SAMPLES samples of p(·|x_t) at attributed step s, each with noise of its own."""
    t = target.steps[s]
    streams = [torch_stream(job.spec["seed"], "continuation", target.key, t, k) for k in range(SAMPLES)]
    return continuations(theta, job.spec["sampling"]["steps"], target.x_t[s], t, streams, target.label).numpy()


if __name__ == "__main__":
    run(main, "gradients", ["trajectory", "checkpoints*", "generator", "mask?", "out", "continuations"])
