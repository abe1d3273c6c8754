"""One target's projected gradients g_t for every checkpoint, and samples of p(·|x_t) at the same steps."""

from functools import partial

import numpy as np
import torch

from waypoint.science.algorithm1 import one_step_estimate, target_gradients
from waypoint.science.draws import target_noise
from waypoint.science.gradients.batching import rows_in_memory
from waypoint.science.gradients.examples import EVERY_DRAW, Example, with_halves
from waypoint.science.gradients.hooks import trainable
from waypoint.science.processes.ddpm import continuations
from waypoint.science.random_streams import torch_stream
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.decoding import decoder
from waypoint.workflow.jobs.gradients_from_spec import engine, projection
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.target import Target, mask_weight
from waypoint.workflow.plan.specs import require_agreement

SAMPLES = 4  # of p(·|x_t) per step, for the panel


class Attributed(Target):
    """A target with what f_t is taken around: its noises and its mask."""

    def __init__(self, job, generator):
        super().__init__(job, generator, job.spec["target"]["steps"])
        self.settings = job.spec["attribution"]
        weight = mask_weight(job.spec["target"]["mask"], job.args.mask, self.image.shape[-2:], self.x_t.shape[-2:])
        self.weight = None if weight is None else weight.to(generator.device)
        draws, shape = range(self.settings["target_draws"]), self.x_t.shape[1:]
        noise = [[target_noise(job.spec["seed"], self.key, t, k, shape) for k in draws] for t in self.steps]
        self.epsilon = torch.stack([torch.stack(row) for row in noise]).to(generator.device)

    def example(self, theta, s, draws=EVERY_DRAW):
        """f_t's terms at attributed step s, around θ's own x̂0_t or the generating model's."""
        t, epsilon, x0_hat = self.steps[s], self.epsilon[s][draws], self.x0_hat[s]
        if self.settings["x0_hat"] == "per_checkpoint":
            x0_hat = one_step_estimate(
                self.sampling(theta), self.x_t[s], t, self.condition, self.settings["clip_x0_hat"]
            )
        steps = torch.full((len(epsilon),), t, device=epsilon.device)
        return Example(x0_hat.expand(epsilon.shape), steps, epsilon, self.conditions(len(epsilon)), self.weight)


def main(job):
    device = job.device()
    require_agreement(job.args.generator, job.spec)
    generator = checkpoints.load(job.args.generator, device)
    target = Attributed(job, generator)
    write_continuations(job, generator, target)
    names, weights = job.spec["checkpoints"], []
    halves = job.spec["attribution"]["keep_halves"]
    with create_store(job.args.out, lambda: job.provenance(weights=weights)) as store:
        store.write("checkpoint", ["checkpoint"], np.array(names))
        store.write("step", ["step"], np.array(target.steps))
        shape = (len(names), len(target.steps), job.spec["projection"]["dim"])
        store.create("g", ["checkpoint", "step", "feature"], shape, rows=1)
        if halves:
            dims = ["checkpoint", "step", "half", "feature"]
            store.create("g_half", dims, (*shape[:2], 2, shape[2]), rows=1)
        for m, (name, folder) in enumerate(zip(names, job.args.checkpoints)):
            require_agreement(folder, job.spec)
            weights.append(read_attributes(folder)["weights"])
            theta = checkpoints.load(folder, device)
            p = sum(q.numel() for q in trainable(theta.unet))
            P = projection(job.spec, name)
            project = partial(target_gradients, target.judging(theta), P, grad=engine(job.spec, name, theta.unet))
            example = partial(target.example, theta)
            step = max(1, rows_in_memory(p, device) // (2 if halves else 1))
            for start in range(0, len(target.steps), step):
                rows = range(start, min(start + step, len(target.steps)))
                where, what = slice(start, rows.stop), f"checkpoint {name}, step"
                if halves:
                    g, g_half = with_halves(project, example, rows, job.spec["attribution"]["target_draws"])
                    store.put("g_half", (m, where), g_half.cpu().numpy(), what, target.steps[where])
                else:
                    g = project([example(s) for s in rows])
                store.put("g", (m, where), g.cpu().numpy(), what, target.steps[where])
            job.progress(m + 1, len(names), "checkpoints")


def write_continuations(job, generator, target):
    """SAMPLES samples of p(·|x_t) per attributed step, each with its own noise; of latents x_t and x̂0_t too."""
    theta, decode = target.sampling(generator), decoder(job, generator.device)

    def samples(s):
        t = target.steps[s]
        streams = [torch_stream(job.spec["seed"], "continuation", target.key, t, k) for k in range(SAMPLES)]
        made = continuations(theta, job.spec["sampling"]["steps"], target.x_t[s], t, streams, target.condition)
        return decode(made).numpy()

    with create_store(job.args.continuations, job.provenance) as store:
        store.write("step", ["step"], np.array(target.steps))
        images = np.stack([samples(s) for s in range(len(target.steps))])
        store.write("sample", ["step", "number", "channel", "y", "x"], images, "step", target.steps)
        if job.args.vae:
            dims = ["step", "channel", "y", "x"]
            store.write("x_t_image", dims, decode(target.x_t).numpy(), "step", target.steps)
            store.write("x0_hat_image", dims, decode(target.x0_hat).numpy(), "step", target.steps)


if __name__ == "__main__":
    run(main, "gradients", ["trajectory", "checkpoints*", "generator", "mask?", "vae?", "out", "continuations"])
