"""tables/adapter_effect.csv: f_t of every target with each adapter and of the base alone: do adapters do anything?"""

import csv

import torch

from waypoint.science.evaluation.adapter_effect import DRAWS, adapter_effect
from waypoint.science.networks.lora import switched_off
from waypoint.science.processes.ddpm import repeated
from waypoint.science.processes.guidance import guided
from waypoint.science.random_streams import torch_stream
from waypoint.science.timesteps import check_steps
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.zarr.reader import read
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.target import conditions

COLUMNS = ["target", "checkpoint", "step", "with_adapter", "without", "se", "standard_errors"]


class Control:
    """f_t of one target at its attributed steps, around the generating model's x̂0_t."""

    def __init__(self, job, name, path, theta):
        self.name, store, target = name, job.open(path), job.settings["targets"][name]
        grid = read(store["step"]).tolist()
        check_steps(target["steps"], grid, "targets: steps")
        x0_hat = read(store["x0_hat"], [grid.index(t) for t in target["steps"]])
        x0_hat = x0_hat[:, 0] if x0_hat.ndim == 5 else x0_hat  # the first of several noise trajectories
        self.steps, self.x0_hat = target["steps"], torch.from_numpy(x0_hat).to(theta.device)
        self.condition, self.null = conditions(store, theta, target["origin"])
        self.guidance = job.settings["attribution"].get("guidance", 1)
        shape, seed = self.x0_hat.shape[1:], job.settings["seed"]
        streams = [[torch_stream(seed, "adapter effect", name, t, k) for k in range(DRAWS)] for t in self.steps]
        self.epsilon = [torch.stack([torch.randn(shape, generator=stream) for stream in step]) for step in streams]

    def effects(self, theta):
        """Return an ``AdapterEffect`` for every step."""
        with torch.inference_mode():
            on = self.losses(theta)
            with switched_off(theta.unet):
                off = self.losses(theta)
        return [adapter_effect(*pair) for pair in zip(on, off)]

    def losses(self, theta):
        """Return the terms of f_t: (steps, DRAWS)."""
        output, losses = guided(theta, self.null, self.guidance), []
        for t, x0_hat, epsilon in zip(self.steps, self.x0_hat, self.epsilon):
            rows = x0_hat.expand(epsilon.shape)
            steps = torch.full((DRAWS,), t, device=theta.device)
            losses.append(
                output.noise_loss(rows, steps, epsilon.to(theta.device), repeated(self.condition, DRAWS)).cpu()
            )
        return torch.stack(losses).numpy()


def main(job):
    device, names = job.device(), list(job.settings["targets"])
    controls, idle = [], []
    with atomic_file(job.args.out, lambda: job.provenance(idle=idle)) as tmp:
        with open(tmp, "w", newline="", encoding="utf-8") as handle:
            table = csv.writer(handle)
            table.writerow(COLUMNS)
            for m, (name, folder) in enumerate(zip(job.settings["checkpoints"], job.args.models, strict=True)):
                theta = job.checkpoint(folder).load(device)
                controls = controls or [
                    Control(job, *pair, theta) for pair in zip(names, job.args.trajectories, strict=True)
                ]
                results = [(control, control.effects(theta)) for control in controls]
                for control, effects in results:
                    for t, effect in zip(control.steps, effects):
                        numbers = (effect.with_adapter, effect.without, effect.error, effect.errors)
                        table.writerow([control.name, name, t, *(f"{number:.6g}" for number in numbers)])
                if not any(effect.detected for _, effects in results for effect in effects):
                    idle.append(name)
                job.progress(m + 1, len(job.args.models), "adapters")
    job.say(f"adapters that do nothing: {', '.join(idle) or 'none'}")


if __name__ == "__main__":
    run(main, ["models*", "trajectories*", "out"])
