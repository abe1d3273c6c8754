"""tables/one_step_error.csv: how far x̂0_t is from the mean of samples of p(·|x_t), which it stands for (§2.2)."""

import numpy as np
import pandas as pd

from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.zarr.reader import read
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.samples import chosen_steps
from waypoint.workflow.plan.specs import require_agreement


def main(job):
    rows = []
    for samples, trajectory in zip(job.args.samples, job.args.trajectories, strict=True):
        found, made = job.open(samples), job.open(trajectory)
        # the trajectory that these samples restarted from
        require_agreement(trajectory, made.attrs, found.attrs["spec"])
        grid, x0_hat = read(made["step"]).tolist(), read(made["x0_hat"])
        samples_in_its_space = found["latent" if "latent" in found else "sample"]
        for s, step in chosen_steps(job, found):
            sample = read(samples_in_its_space, s)[: job.settings["samples"]["number"]]
            row = distances(x0_hat[grid.index(step)], sample)
            rows.append({"target": found.attrs["target"], "step": step, **row})
    with atomic_file(job.args.out, job.provenance) as tmp:
        pd.DataFrame(rows).to_csv(tmp, index=False, float_format="%.6g")


def distances(x0_hat, sample):
    """One row of one_step_error.csv from x̂0_t (C, H, W) and the samples (n, C, H, W) of the same step.

    l2: x̂0_t to the mean of the samples. spread: how far a sample typically lies from their mean.
    l2_noise: the l2 that n samples leave even where x̂0_t is exactly the mean of p(·|x_t).
    """
    sample, n = sample.astype(np.float64), len(sample)
    spread = np.sqrt(sample.var(0, ddof=1).sum())
    l2 = np.sqrt(((x0_hat - sample.mean(0)) ** 2).sum())
    return {"l2": l2, "l2_noise": spread / n**0.5, "spread": spread, "samples": n}


if __name__ == "__main__":
    run(main, ["samples*", "trajectories*", "out"])
