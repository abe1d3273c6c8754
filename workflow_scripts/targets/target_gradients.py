"""One target's projected gradients g_t for every checkpoint."""

from functools import partial

import numpy as np
import torch

from waypoint.errors import WaypointError
from waypoint.science.algorithm1 import one_step_estimate, target_gradients
from waypoint.science.draws import target_draws
from waypoint.science.gradients.batching import rows_in_memory
from waypoint.science.gradients.examples import EVERY_DRAW, target_example, whole_and_halves
from waypoint.science.gradients.hooks import trainable
from waypoint.science.processes.schedules import without_gradient
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.gradients_from_spec import differentiated, mapped_by, per_example_gradients, projection
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.target import Target, mask_weight


class Attributed(Target):
    """A target with the noises and the mask of its output function f_t."""

    def __init__(self, job, generator):
        super().__init__(job, generator, job.settings["target"]["steps"])
        for t in self.steps:  # of models of the hub; of all others planning knows it
            if not generator.has_gradient(t):
                raise WaypointError(without_gradient(t, "targets: steps"))
        self.settings = job.settings["attribution"]
        weight = mask_weight(job.settings["target"]["mask"], job.args.mask, self.image.shape[-2:], self.x_t.shape[-2:])
        self.weight = None if weight is None else weight.to(generator.device)
        self.seed = job.settings["seed"]

    def example(self, theta, name, noise, s, draws=EVERY_DRAW):
        """f_t's terms at attributed step s, around θ's own x̂0_t or the generating model's.

        Args:
            name: of the checkpoint θ, whose noises are its own. noise: number of the noise trajectory.
        """
        t, x0_hat, shape = self.steps[s], self.x0_hat_of[noise, s], self.x_t.shape[1:]
        key = self.key if noise == 0 else f"{self.key}, noise {noise}"
        noises = target_draws(self.seed, key, name, t, self.settings["target_draws"], shape)
        epsilon = noises[draws].to(self.x_t.device)
        if self.settings["x0_hat"] == "per_checkpoint":
            x0_hat = one_step_estimate(
                self.sampling(theta), self.x_t_of[noise, s], t, self.condition, self.settings["clip_x0_hat"]
            )
        return target_example(x0_hat, t, epsilon, self.condition, self.weight)


def main(job):
    device = job.device()
    generator = job.checkpoint(job.args.generator).load(device)
    target = Attributed(job, generator)
    names, weights, maps = job.settings["checkpoints"], [], []
    output = differentiated(job.settings, "target")
    halves, noises = job.settings["attribution"]["keep_halves"], len(target.x0_hat_of)
    with create_store(
        job.args.out, lambda: job.provenance(weights=weights, **({"mapped_by": maps} if maps else {}))
    ) as store:
        store.write("checkpoint", ["checkpoint"], np.array(names))
        store.write("step", ["step"], np.array(target.steps))
        curvatures = job.args.curvature or [None] * len(names)
        for m, (name, folder, curvature) in enumerate(zip(names, job.args.checkpoints, curvatures, strict=True)):
            checkpoint = job.checkpoint(folder)
            weights.append(checkpoint.weights)
            theta = checkpoint.load(device)
            p = sum(q.numel() for q in trainable(theta.unet))
            curvature = job.curvature(curvature, checkpoint)
            maps += mapped_by(curvature).values()
            P = projection(job.settings, name, theta.unet, curvature)
            if m == 0:
                shape = (len(names), len(target.steps), P.d)
                store.create("g", ["checkpoint", "step", "feature"], shape, rows=1)
                if halves:
                    dims = ["checkpoint", "step", "half", "feature"]
                    store.create("g_half", dims, (*shape[:2], 2, shape[2]), rows=1)
                if noises > 1:
                    dims = ["noise", "checkpoint", "step", "feature"]
                    store.create("g_of_noise", dims, (noises, *shape), chunks=(1, 1, *shape[1:]))
            project = partial(
                target_gradients,
                target.for_output_function(theta),
                P,
                grad=per_example_gradients(job.settings, name, theta.unet),
                output=output,
            )
            step = max(1, rows_in_memory(p, device) // (2 if halves else 1))
            for start in range(0, len(target.steps), step):
                rows = range(start, min(start + step, len(target.steps)))
                where, what = slice(start, rows.stop), f"checkpoint {name}, step"
                g, g_half = [], []
                for noise in range(noises):
                    example = partial(target.example, theta, name, noise)
                    if halves:
                        draws = job.settings["attribution"]["target_draws"]
                        whole, parts = whole_and_halves(project, example, rows, draws)
                        g_half.append(parts.cpu())
                    else:
                        whole = project([example(s) for s in rows])
                    g.append(whole.cpu())
                    if noises > 1:
                        store.put("g_of_noise", (noise, m, where), g[-1].numpy(), what, target.steps[where])
                if halves:
                    store.put("g_half", (m, where), torch.stack(g_half).mean(0).numpy(), what, target.steps[where])
                store.put("g", (m, where), torch.stack(g).mean(0).numpy(), what, target.steps[where])
            del P, project  # before the next curvature is read
            job.progress(m + 1, len(names), "checkpoints")


if __name__ == "__main__":
    run(main, ["trajectory", "checkpoints*", "curvature*?", "generator", "mask?", "out"])
