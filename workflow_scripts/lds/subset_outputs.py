"""One target's model outputs, −f_t around the generating model's x̂0_t, for all models of all subsets (§5.3)."""

import json
from pathlib import Path

import numpy as np
import torch

from waypoint.errors import WaypointError
from waypoint.science.random_streams import torch_stream
from waypoint.store.zarr.reader import read
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.target import Target, mask_weight

BATCH = 256  # images per call of a model


class Output:
    """f_t of one target at all its steps, with noises that all models share but g_t does not."""

    def __init__(self, job, generator):
        lds, device = job.settings["lds"], generator.device
        target = Target(job, generator, lds["steps"])
        weight = mask_weight(
            job.settings["target"]["mask"], job.args.mask, target.image.shape[-2:], target.x_t.shape[-2:]
        )
        self.weight = None if weight is None else weight.to(device)
        self.shape = (len(target.steps), lds["draws"])
        self.t = torch.tensor(target.steps, device=device).repeat_interleave(lds["draws"])
        # the draws take turns with several noise trajectories
        turns = [target.x0_hat_of[k % len(target.x0_hat_of)] for k in range(lds["draws"])]
        self.x0_hat = torch.stack(turns, 1).flatten(0, 1)
        keys = [(target.key, t, k) for t in target.steps for k in range(lds["draws"])]
        streams = [torch_stream(job.settings["seed"], "output draws", *key) for key in keys]
        self.epsilon = torch.stack([torch.randn(target.x_t.shape[1:], generator=s) for s in streams]).to(device)
        self.target, self.conditions = target, target.conditions(len(keys))

    @torch.inference_mode()
    def __call__(self, theta):
        """Return −f_t(x̂0_t, θ), Eq. 3: (steps,)."""
        losses, theta = [], self.target.for_output_function(theta)
        for rows in torch.arange(len(self.t), device=self.t.device).split(BATCH):
            condition = None if self.conditions is None else self.conditions[rows]
            losses.append(theta.noise_loss(self.x0_hat[rows], self.t[rows], self.epsilon[rows], condition, self.weight))
        return -torch.cat(losses).reshape(self.shape).mean(1).cpu().numpy()


def main(job):
    device = job.device()
    output = Output(job, job.checkpoint(job.args.generator).load(device))
    subsets = job.open(job.args.subsets)["included"]
    entries = json.loads(Path(job.folder(job.args.models)).read_text())
    per_subset, steps = job.settings["lds"]["models_per_subset"], job.settings["lds"]["steps"]
    values = np.empty((subsets.shape[0], per_subset, len(steps)), np.float32)
    for j, included in enumerate(read(subsets)):
        for r in range(per_subset):
            name = f"subset/{j}-{r}"
            values[j, r] = output(load(job, name, entries.get(name), np.flatnonzero(included), device))
        job.progress(j + 1, len(values), "subsets")
    with create_store(job.args.out, lambda: job.provenance(target=job.args.target)) as store:
        store.write("subset", ["subset"], np.arange(len(values)))
        store.write("model", ["model"], np.arange(per_subset))
        store.write("step", ["step"], np.array(steps))
        store.write("output", ["subset", "model", "step"], values, "subset")


def load(job, name, entry, rows, device):
    """Load a subset's model, which must be the listed one, of this recipe, and trained on the subset's images alone."""
    folder = Path(job.args.models).parent / name.split("/")[1]
    checkpoint = job.checkpoint(folder, rows=rows)
    if entry is None or checkpoint.weights != entry["weights"]:
        raise WaypointError(f"{folder} is not the model that {job.args.models} lists; delete that file and rerun")
    return checkpoint.load(device)


if __name__ == "__main__":
    run(main, ["trajectory", "generator", "mask?", "subsets", "models", "target", "out"])
