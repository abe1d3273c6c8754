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
from waypoint.science.grid import check_steps
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

    def __init__(self, job, generator):
        device, origin = generator.device, self._origin(job.spec["target"])
        found = job.open(job.args.trajectory)
        self.steps = job.spec["target"]["steps"]
        grid = read(found["step"]).tolist()
        check_steps(self.steps, grid, "targets: steps")
        if found.attrs["weights"] != read_attributes(job.args.generator)["weights"]:
            raise WaypointError(
                f"{job.args.trajectory} was sampled from other weights than {job.args.generator} holds; "
                "delete it and rerun"
            )
        at = [grid.index(t) for t in self.steps]
        self.x_t = torch.from_numpy(read(found["x_t"])[at]).to(device)
        self.x0_hat = torch.from_numpy(read(found["x0_hat"])[at]).to(device)
        self.label = models.target_label(generator, origin)
        self.weight = self._weight(job, self.x_t.shape[-2:]).to(device) if job.spec["target"]["mask"] else None
        # the noises of f_t belong to the trajectory: equal for all models, targets and masks that share it
        self.key = json.dumps([origin, job.spec["generator"], job.spec["sampling"]], sort_keys=True)
        draws, shape = range(job.spec["attribution"]["target_draws"]), self.x_t.shape[1:]
        noise = [[target_noise(job.spec["seed"], self.key, t, k, shape) for k in draws] for t in self.steps]
        self.epsilon = torch.stack([torch.stack(row) for row in noise]).to(device)

    @staticmethod
    def _origin(row):
        return {key: row[key] for key in ("seed", "label", "trajectory") if key in row}

    @staticmethod
    def _weight(job, shape):
        mask = job.spec["target"]["mask"]
        if isinstance(mask, list):
            pixels = box_mask(mask, *shape)
        else:
            with Image.open(job.args.mask) as image:
                pixels = (np.asarray(image.convert("L")) > 127).astype(np.float32)
        return torch.from_numpy(cell_shares(pixels, *shape))

    def example(self, theta, s, settings):
        """f_t's terms at attributed step s, around θ's own x̂0_t or the generating model's."""
        t, epsilon, x0_hat = self.steps[s], self.epsilon[s], self.x0_hat[s]
        if settings["x0_hat"] == "per_checkpoint":
            x0_hat = one_step_estimate(theta, self.x_t[s], t, self.label, settings["clip_x0_hat"])
        label = None if self.label is None else self.label.expand(len(epsilon))
        steps = torch.full((len(epsilon),), t, device=epsilon.device)
        return Example(x0_hat.expand(epsilon.shape), steps, epsilon, label, self.weight)


def main(job):
    device = job.device()
    require_agreement(job.args.generator, job.spec)
    generator = models.load(job.args.generator, device)
    target = Target(job, generator)
    write_continuations(job, generator, target)
    names, projection, weights = job.spec["checkpoints"], job.spec["projection"], []
    with create_store(job.args.out, lambda: job.provenance(weights=weights)) as store:
        store.write("checkpoint", ["checkpoint"], np.array(names))
        store.write("step", ["step"], np.array(target.steps))
        shape = (len(names), len(target.steps), projection["dim"])
        store.create("g", ["checkpoint", "step", "feature"], shape, rows=1)
        for m, (name, folder) in enumerate(zip(names, job.args.checkpoints)):
            require_agreement(folder, job.spec)
            weights.append(read_attributes(folder)["weights"])
            theta = models.load(folder, device)
            p = sum(q.numel() for q in trainable(theta.unet))
            P = PROJECTIONS[projection["kind"]](job.spec["seed"], name, p, projection["dim"])
            step = rows_in_memory(p, device)
            for start in range(0, len(target.steps), step):
                rows = range(start, min(start + step, len(target.steps)))
                batch = [target.example(theta, s, job.spec["attribution"]) for s in rows]
                g = target_gradients(theta, P, batch, per_example_gradients).cpu().numpy()
                where = slice(rows.start, rows.stop)
                store.put("g", (m, where), g, f"checkpoint {name}, step", target.steps[where])
            job.progress(m + 1, len(names), "checkpoints")


def write_continuations(job, generator, target):
    """SAMPLES samples of p(·|x_t) per attributed step, each with noise of its own."""

    def samples(s):
        t = target.steps[s]
        streams = [torch_stream(job.spec["seed"], "continuation", target.key, t, k) for k in range(SAMPLES)]
        return continuations(generator, job.spec["sampling"]["steps"], target.x_t[s], t, streams, target.label).numpy()

    with create_store(job.args.continuations, job.provenance) as store:
        store.write("step", ["step"], np.array(target.steps))
        images = np.stack([samples(s) for s in range(len(target.steps))])
        store.write("sample", ["step", "number", "channel", "y", "x"], images, "step", target.steps)


if __name__ == "__main__":
    run(main, "gradients", ["trajectory", "checkpoints*", "generator", "mask?", "out", "continuations"])
