"""One target's projected gradients g_t for every checkpoint.

In one basis, or in several with the same output function.
"""

import contextlib
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
from waypoint.science.projection import SideBySide
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.basis_pass import curvatures_of, device_of, projections, run_together
from waypoint.workflow.jobs.gradients_from_spec import differentiated, mapped_by, per_example_gradients
from waypoint.workflow.jobs.target import Target, mask_weight


class Attributed(Target):
    """A target with the noises and the mask of its output function f_t."""

    def __init__(self, job, generator):
        super().__init__(job, generator, job.settings["target"]["steps"])
        for t in self.steps:  # models of the hub only: planning has checked all others
            if not generator.has_gradient(t):
                raise WaypointError(without_gradient(t, "targets: steps"))
        self.settings = job.settings["attribution"]
        weight = mask_weight(job.settings["target"]["mask"], job.args.mask, self.image.shape[-2:], self.x_t.shape[-2:])
        self.weight = None if weight is None else weight.to(generator.device)
        self.seed = job.settings["seed"]

    def example(self, theta, name, noise, s, draws=EVERY_DRAW):
        """Return f_t's terms at attributed step s, around θ's own x̂0_t or the generating model's.

        Args:
            name: the name of checkpoint θ, on which its noises depend. noise: index of the noise trajectory.
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


def main(jobs):
    device = device_of(jobs)
    generator, *_ = [job.checkpoint(job.args.generator) for job in jobs]
    generator = generator.load(device)
    target, *_ = [Attributed(job, generator) for job in jobs]
    job, names, weights = jobs[0], jobs[0].settings["checkpoints"], []
    maps = [[] for _ in jobs]
    output = differentiated(job.settings, "target")
    halves, noises = job.settings["attribution"]["keep_halves"], len(target.x0_hat_of)

    def attributes(job, mapped):
        return job.provenance(weights=weights, **({"mapped_by": mapped} if mapped else {}))

    with contextlib.ExitStack() as stack:
        stores = [
            stack.enter_context(create_store(job.args.out, partial(attributes, job, mapped)))
            for job, mapped in zip(jobs, maps)
        ]
        for store in stores:
            store.write("checkpoint", ["checkpoint"], np.array(names))
            store.write("step", ["step"], np.array(target.steps))
        for m, (name, folder) in enumerate(zip(names, job.args.checkpoints, strict=True)):
            checkpoint, *_ = [job.checkpoint(folder) for job in jobs]
            weights.append(checkpoint.weights)
            theta = checkpoint.load(device)
            p = sum(q.numel() for q in trainable(theta.unet))
            curvatures = curvatures_of(jobs, checkpoint, m)
            for mapped, curvature in zip(maps, curvatures):
                mapped += mapped_by(curvature).values()
            P = SideBySide(projections(jobs, name, theta.unet, curvatures))
            if m == 0:
                for store, projection in zip(stores, P.maps):
                    create(store, (len(names), len(target.steps), projection.d), halves, noises)
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
                window, label = slice(start, rows.stop), f"checkpoint {name}, step"
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
                        for store, part in zip(stores, P.apart(g[-1])):
                            store.put("g_of_noise", (noise, m, window), part.numpy(), label, target.steps[window])
                if halves:
                    for store, part in zip(stores, P.apart(torch.stack(g_half).mean(0))):
                        store.put("g_half", (m, window), part.numpy(), label, target.steps[window])
                for store, part in zip(stores, P.apart(torch.stack(g).mean(0))):
                    store.put("g", (m, window), part.numpy(), label, target.steps[window])
            del P, project  # frees memory before the next curvature is read
            job.progress(m + 1, len(names), "checkpoints")


def create(store, shape, halves, noises):
    """Create the arrays of a basis: g (checkpoint, step, feature), and those of both halves and of each noise."""
    store.create("g", ["checkpoint", "step", "feature"], shape, rows=1)
    if halves:
        store.create("g_half", ["checkpoint", "step", "half", "feature"], (*shape[:2], 2, shape[2]), rows=1)
    if noises > 1:
        dims = ["noise", "checkpoint", "step", "feature"]
        store.create("g_of_noise", dims, (noises, *shape), chunks=(1, 1, *shape[1:]))


if __name__ == "__main__":
    run_together(main, ["trajectory", "checkpoints*", "curvature*?", "generator", "mask?", "out*"])
